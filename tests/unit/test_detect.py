"""What is run: web apps, workers and their queues, and what comes before them."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.sources import API, only, proposed, worker

GETTER = """
def get(name, default=None):
    value = os.environ.get(name)
    if value is None and default is None:
        raise ValueError(f"{name} is not set")
    return value or default
"""

# --- queues -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "imports", "others", "expected"),
    [
        ('"plain"', "", {}, "plain"),
        ("queue", "", {}, "from-a-default"),
        ("QUEUE", 'QUEUE = "constant"', {}, "constant"),
        ("QUEUE", "from shared import QUEUE", {"shared.py": 'QUEUE = "imported"'}, "imported"),
        ("q.QUEUE", "import shared as q", {"shared.py": 'QUEUE = "a module\'s"'}, "a module's"),
        ("QUEUE", "from a import QUEUE", {"a.py": "from b import QUEUE", "b.py": 'QUEUE = "twice"'}, "twice"),
        ('os.getenv("Q", "default")', "", {}, "default"),
        ('os.environ.get("GIVEN", "default")', "", {}, "given"),
        ('os.environ["GIVEN"]', "", {}, "given"),
        ('os.getenv("Q") or "fallback"', "", {}, "fallback"),
        ('f"{PREFIX}-tasks"', 'PREFIX = "my"', {}, "my-tasks"),
        (
            "settings.queue",
            "from shared import settings",
            {"shared.py": 'class S(BaseSettings):\n    queue: str = Field(default="a field")\nsettings = S()'},
            "a field",
        ),
        ('source.get("Q", "of a mapping")', "source = env or os.environ", {}, "of a mapping"),
        ('source.get("GIVEN", "x")', "source = os.environ if env is None else env", {}, "given"),
        ('get("Q", "by a function")', "from shared import get", {"shared.py": GETTER}, "by a function"),
        ('get("GIVEN", default="x")', GETTER, {}, "given"),
        ("config.task_queue", 'config = Config(task_queue=os.getenv("Q", "a keyword"))', {}, "a keyword"),
        ("settings.given", "class S(BaseSettings):\n    given: str = 'x'\nsettings = S()", {}, "given"),
    ],
)
def test_the_queue_of_a_worker(tmp_path, queue, imports, others, expected):
    found = only(proposed(tmp_path, {"worker.py": worker(queue, imports), **others}, GIVEN="given"))
    assert found.queues == (expected,)
    assert found.ready == f"worker:{expected}/workflow"


def test_a_second_worker_whose_queue_is_not_known_is_said(tmp_path):
    run = "    await Worker(client, task_queue=sys.argv[1], workflows=[]).run()\nif __name__"
    found = proposed(tmp_path, {"worker.py": worker('"a"').replace("if __name__", run)})
    assert only(found).queues == ("a",)
    note = "worker.py also makes a worker whose task queue is not known: `ready` of worker waits for a alone"
    assert found.notes == (note,)


def test_a_function_that_looks_elsewhere_too_does_not_decide(tmp_path):
    reads = GETTER.replace("return value or default", "return value or load_file().get(name, default)")
    found = proposed(tmp_path, {"worker.py": worker('get("Q", "x")', reads)})
    asked = "which task queue does worker.py poll (Q is not set)?"
    assert [question.text for question in found.questions] == [asked]


def test_a_mapping_that_is_not_the_environment_has_no_variables(tmp_path):
    found = proposed(tmp_path, {"worker.py": worker('source.get("GIVEN", "x")', "source = load()")}, GIVEN="given")
    assert [question.text for question in found.questions] == ["which task queue does worker.py poll?"]


@pytest.mark.parametrize("queue", ["sys.argv[1]", 'os.environ["NOT_SET"]', "unknown()", "QUEUE"])
def test_a_queue_that_is_not_known_is_asked_for(tmp_path, queue):
    sources = {"worker.py": worker(queue, "QUEUE = QUEUE")}
    found = proposed(tmp_path, sources)
    assert [question.key for question in found.questions] == ["queue.worker"]
    assert only(found).ready == "worker:QUEUE"
    answered = propose(tmp_path, {}, (8000, 7233), {"queue.worker": "mine"})
    assert not answered.questions
    assert only(answered).ready == "worker:mine"
    assert only(answered).env == ({"NOT_SET": "mine"} if "NOT_SET" in queue else {}), "it reads it there"


def test_several_queues_in_one_program(tmp_path):
    second = 'await Worker(client, task_queue="second").run()\nif __name__'
    found = only(proposed(tmp_path, {"worker.py": worker('"first"').replace("if __name__", second, 1)}))
    assert found.queues == ("first", "second")
    assert found.ready == "worker:first/workflow, worker:second"


@pytest.mark.parametrize(
    ("registered", "ready"),
    [
        ("workflows=[W]", "worker:q/workflow"),
        ("activities=[a]", "worker:q/activity"),
        ("workflows=[W], activities=[a]", "worker:q"),
        ("workflows=[W], **options", "worker:q"),
        ("workflows=[W], plugins=[P()]", "worker:q"),
        ("**options", "worker:q"),
    ],
)
def test_a_worker_is_ready_when_it_polls_for_what_it_registers(tmp_path, registered, ready):
    source = worker('"q"').replace("workflows=[]", registered)
    assert only(proposed(tmp_path, {"worker.py": source})).ready == ready


# --- what is run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "imports", "others", "command", "cwd"),
    [
        ("worker.py", "", {}, "python worker.py", ""),
        ("app/worker.py", "from app.jobs import x", {"app/jobs.py": ""}, "python -m app.worker", ""),
        ("app/worker.py", "from .jobs import x", {"app/jobs.py": ""}, "python -m app.worker", ""),
        ("app/worker.py", "from jobs import x", {"app/jobs.py": ""}, "python app/worker.py", ""),
        ("app/worker.py", "", {"app/__init__.py": ""}, "python -m app.worker", ""),
        ("app/__main__.py", "from app import jobs", {"app/jobs.py": ""}, "python -m app", ""),
        ("src/app/worker.py", "from app.jobs import x", {"src/app/jobs.py": ""}, "python -m app.worker", ""),
        (
            "back/app/worker.py",
            "from app.jobs import x",
            {"back/app/jobs.py": "", "back/pyproject.toml": ""},
            "python -m app.worker",
            "back",
        ),
        ("worker/worker.py", "from worker.jobs import x", {"worker/jobs.py": ""}, "python -m worker.worker", ""),
        ("site/management/commands/poll.py", "", {"manage.py": ""}, "python manage.py poll", ""),
    ],
)
def test_the_command_of_a_worker(tmp_path, path, imports, others, command, cwd):
    found = only(proposed(tmp_path, {path: worker('"q"', imports), **others}))
    assert (found.command, found.cwd) == (command, cwd)


def test_a_program_that_imports_the_worker_starts_it(tmp_path):
    source = worker('"q"').replace("if __name__", "def unused():\n  if __name__")
    main = 'import asyncio\nfrom poller import main\nif __name__ == "__main__":\n    asyncio.run(main())\n'
    assert only(proposed(tmp_path, {"poller.py": source, "main.py": main})).command == "python main.py"


@pytest.mark.parametrize(
    ("pyproject", "command"),
    [
        ('[project.scripts]\nshop-worker = "shop.worker:main"\n[build-system]', "shop-worker"),
        ('[tool.poetry.scripts]\nwork = "shop.worker:main"\n[build-system]', "work"),
        ('[project.scripts]\nwork = "shop.worker:main"\n[build-system]\n[tool.uv]\npackage = false', None),
        ('[project.scripts]\nwork = "shop.worker:main"\n', None),
        ('[project.scripts]\nwork = "shop.worker:nothing"\n[build-system]', None),
        ('[project.scripts]\n"a b" = "shop.worker:main"\n[build-system]', None),
        ("[project]\nscripts = 1\n[build-system]\n[tool]\npoetry = 1\nuv = []", None),
    ],
)
def test_a_program_that_the_project_installs(tmp_path, pyproject, command):
    source = worker('"q"').partition("if __name__")[0]
    sources = {"pyproject.toml": pyproject, "src/shop/__init__.py": "", "src/shop/worker.py": source}
    assert [process.command for process in proposed(tmp_path, sources).processes] == ([command] if command else [])


def test_a_worker_that_nothing_starts_is_said(tmp_path):
    source = worker('"q"').replace('if __name__ == "__main__":', "async def unused():")
    found = proposed(tmp_path, {"poller.py": source, "web.py": API})
    assert "poller.py makes a worker, but nothing here starts it as a program" in found.notes


def test_tests_and_examples_are_not_run(tmp_path):
    sources = {path: worker('"q"') for path in ("tests/worker.py", "examples/a.py", "test_worker.py", ".hidden/w.py")}
    assert not proposed(tmp_path, sources).processes


def test_two_workers_of_one_queue_are_asked_about_unless_they_share_the_work(tmp_path):
    workers = {"new_worker.py": worker('"q"'), "old_worker.py": worker('"q"')}
    found = proposed(tmp_path, workers)
    assert found.questions[0].choices == ("new_worker", "old_worker", "all")
    answered = propose(tmp_path, {}, (8000, 7233), {found.questions[0].key: "old_worker"})
    assert [process.name for process in answered.processes] == ["old_worker"]
    shared = proposed(tmp_path, {"old_worker.py": worker('"q"', kinds="activities")})
    assert (len(shared.processes), shared.questions) == (2, ())


def test_what_the_project_documents_decides(tmp_path):
    workers = {"new_worker.py": worker('"q"'), "old_worker.py": worker('"q"')}
    readme = {"README.md": "```sh\npoetry run python new_worker.py\n```\n"}
    assert only(proposed(tmp_path, workers | readme)).command == "python new_worker.py"


# --- web apps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "others", "ready"),
    [
        ("", {}, "tcp:8000"),
        ('@app.get("/healthz")\ndef f(): ...\n@app.get("/")\ndef g(): ...', {}, "http://127.0.0.1:8000/healthz"),
        ('@app.get("/readyz")\ndef f(): ...', {}, "http://127.0.0.1:8000/readyz"),
        ('@app.get("/")\ndef f(): ...', {}, "http://127.0.0.1:8000/"),
        ('@app.get("/")\ndef f(): return RedirectResponse("/docs")', {}, "tcp:8000"),
        ('@app.post("/health")\ndef f(): ...', {}, "tcp:8000"),
        ('@app.get("/{name}/health")\ndef f(): ...', {}, "tcp:8000"),
        ('@app.get("/api/health")\ndef f(): ...', {}, "http://127.0.0.1:8000/api/health"),
        (
            'from routes import status\napp.include_router(status.router, prefix="/v1")',
            {"routes/status.py": 'router = APIRouter(prefix="/s")\n@router.get("/health")\ndef f(): ...'},
            "http://127.0.0.1:8000/v1/s/health",
        ),
        (
            "from routes import a, b\nfor one in (a, b):\n    app.include_router(one.router)",
            {"routes/a.py": "", "routes/b.py": 'router = APIRouter()\n@router.get("/readyz")\ndef f(): ...'},
            "http://127.0.0.1:8000/readyz",
        ),
    ],
)
def test_the_health_of_a_web_app(tmp_path, more, others, ready):
    assert only(proposed(tmp_path, {"main.py": API + more, **others})).ready == ready


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        ({"main.py": API}, "python -m uvicorn main:app --host 127.0.0.1 --port 8000"),
        (
            {"main.py": API + "app = CORS(app)\nasgi = Wrapped(app=app)"},
            "python -m uvicorn main:asgi --host 127.0.0.1 --port 8000",
        ),
        (
            {"main.py": "from fastapi import FastAPI\ndef create_app():\n    return FastAPI()\n"},
            "python -m uvicorn main:create_app --host 127.0.0.1 --port 8000 --factory",
        ),
        (
            {"main.py": "from fastapi import FastAPI\ndef build():\n    return FastAPI()\napi = build()\n"},
            "python -m uvicorn main:api --host 127.0.0.1 --port 8000",
        ),
        (
            {"main.py": API, "README.md": "run `uvicorn main:app --reload --port 9001`"},
            "python -m uvicorn main:app --host 127.0.0.1 --port 9001",
        ),
        (
            {"main.py": f"{API}if __name__ == '__main__': uvicorn.run('main:app', port=8080, reload=True)\n"},
            "python -m uvicorn main:app --host 127.0.0.1 --port 8080",
        ),
        (
            {"main.py": API, "Dockerfile": 'CMD ["uvicorn", "main:app", "--port", "80"]'},
            "python -m uvicorn main:app --host 127.0.0.1 --port 8000",
        ),
        (
            {"web.py": "from flask import Flask\napp = Flask(__name__)\n"},
            "python -m flask --app web:app run --host 127.0.0.1 --port 8000",
        ),
        (
            {"web.py": "from quart import Quart\napp = Quart(__name__)\nif __name__ == '__main__': app.run(port=5001)"},
            "python web.py",
        ),
        (
            {"manage.py": "from django.core import management\nif __name__ == '__main__': ..."},
            "python manage.py runserver 127.0.0.1:8000 --noreload",
        ),
    ],
)
def test_the_command_of_a_web_app(tmp_path, sources, command):
    assert only(proposed(tmp_path, sources)).command == command


def test_an_app_that_another_one_includes_is_not_run(tmp_path):
    sources = {"main.py": API + 'from inner import sub\napp.mount("/x", sub)', "inner.py": API.replace("app", "sub")}
    assert only(proposed(tmp_path, sources)).command.split()[3] == "main:app"


def test_two_web_apps_get_two_ports(tmp_path):
    parts = {f"{name}/main.py": API for name in ("shop", "admin")}
    found = proposed(tmp_path, parts | {f"{name}/requirements.txt": "" for name in ("shop", "admin")})
    assert [(process.name, process.ready) for process in found.processes] == [
        ("admin", "tcp:8000"),
        ("shop", "tcp:8001"),
    ]


# --- Django -----------------------------------------------------------------------------------------------------------

MANAGE = """
import os
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("", home), path("api/", include("api.urls")), path("<int:id>/health", one)]
"""


@pytest.mark.parametrize(
    ("settings", "ready"),
    [
        ("", "http://127.0.0.1:8000/api/health/"),
        ("ALLOWED_HOSTS = []", "http://127.0.0.1:8000/api/health/"),
        ("ALLOWED_HOSTS = ['*']", "http://127.0.0.1:8000/api/health/"),
        ("ALLOWED_HOSTS = ['example.com']", "tcp:8000"),
        ("ROOT_URLCONF = None", "tcp:8000"),
        ("ROOT_URLCONF = 'site_.empty'", "tcp:8000"),
    ],
)
def test_the_health_of_a_django_site(tmp_path, settings, ready):
    sources = {
        "manage.py": MANAGE,
        "site_/settings.py": f"{settings}\nROOT_URLCONF = 'site_.urls'\n",
        "site_/urls.py": URLS,
        "site_/empty.py": "from django.urls import include\nurlpatterns = []\n",
        "api/urls.py": "from django.urls import path\nurls = [path('health/', f), path('', include('api.urls'))]",
    }
    assert only(proposed(tmp_path, sources)).ready == ready


@pytest.mark.parametrize(
    "queue", ["settings.QUEUE", 'getattr(settings, "QUEUE", "x")', 'getattr(settings, "NO", "jobs")']
)
def test_the_queue_is_in_the_settings_of_django(tmp_path, queue):
    command = worker(queue, "from django.conf import settings")
    sources = {"manage.py": MANAGE, "site_/settings.py": "QUEUE = 'jobs'\n", "a/management/commands/poll.py": command}
    found = {process.name: process for process in proposed(tmp_path, sources).processes}
    assert found["worker"].queues == ("jobs",)


# --- before the start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "command", "cwd"),
    [
        (
            {"manage.py": MANAGE, "README.md": "    env/bin/python manage.py migrate\n"},
            "python manage.py migrate --noinput",
            "",
        ),
        (
            {"db/alembic.ini": "", "compose.yml": "command: sh -c 'alembic upgrade head && uvicorn x'"},
            "alembic upgrade head",
            "db",
        ),
        ({"alembic.ini": "", "Makefile": "migrate:\n\tuv run alembic upgrade head\n"}, "alembic upgrade head", ""),
        (
            {"scripts/init_db.py": "if __name__ == '__main__': ...", "README.md": "`python scripts/init_db.py`"},
            "python scripts/init_db.py",
            "",
        ),
    ],
)
def test_a_documented_migration_comes_first(tmp_path, sources, command, cwd):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), "requirements.txt": "", **sources})
    migrate = found.processes[0]
    assert (migrate.name, migrate.command, migrate.cwd, migrate.restart) == ("migrate", command, cwd, "never")
    assert all(process.needs == ("temporal", "migrate") for process in found.processes[1:])


@pytest.mark.parametrize(
    "sources",
    [
        {"manage.py": MANAGE, "README.md": "python manage.py runserver"},
        {"alembic.ini": "", "README.md": "alembic revision"},
        {"README.md": "alembic upgrade head"},
        {"a/alembic.ini": "", "b/alembic.ini": "", "README.md": "alembic upgrade head"},
        {"init_db.py": "if __name__ == '__main__': ..."},
    ],
)
def test_what_is_not_documented_is_not_run_before_the_start(tmp_path, sources):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), **sources})
    assert "migrate" not in {process.name for process in found.processes}


@pytest.mark.parametrize("command", ["runserver 127.0.0.1:$PORT", "runserver 127.0.0.1:${PORT}", "runserver 10.0.0.1"])
def test_an_address_is_no_port(tmp_path, command):
    found = proposed(tmp_path, {"manage.py": MANAGE, "README.md": f"python manage.py {command}"})
    assert only(found).command == "python manage.py runserver 127.0.0.1:8000 --noreload"


def test_a_seed_is_said_and_not_run(tmp_path):
    seed = {"seed.py": "if __name__ == '__main__': ...", "README.md": "python seed.py"}
    found = proposed(tmp_path, {"worker.py": worker('"q"'), **seed})
    assert only(found).name == "worker"
    assert found.notes == ("README.md has `python seed.py`: not run, since it is perhaps not for every start",)


# --- names ------------------------------------------------------------------------------------------------------------


def test_no_process_has_the_name_of_a_service(tmp_path):
    services = {"redis": "redis:7", "jobs": "ghcr.io/acme/jobs", "temporal-admin": "temporalio/admin-tools"}
    compose = "services:\n" + "".join(f"  {name}:\n    image: {image}\n" for name, image in services.items())
    folders = ("temporal", "temporal-ui", *services)
    sources = {f"{folder}/worker.py": worker(f'"{folder}"') for folder in folders}
    found = proposed(tmp_path, {"compose.yaml": compose, **sources})
    names = ["jobs", "redis-2", "temporal-admin-2", "worker", "worker-2"]
    assert sorted(process.name for process in found.processes) == names
