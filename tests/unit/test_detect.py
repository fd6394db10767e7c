"""What is read from small sources: web apps, workers, queues, commands, environments."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from mika.config.load import load
from mika.config.process_options import ProcessOptions
from mika.detect import files as files_module
from mika.detect import written
from mika.detect.environments import tooling
from mika.detect.files import Files
from mika.detect.proposal import Process, Proposal, propose
from mika.procfile import entries

from tests.kit.machine import posix_only

WORKER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
{imports}
async def main(queue="from-a-default"):
    client = await Client.connect("{address}")
    await Worker(client, task_queue={queue}, {kinds}=[]).run()
if __name__ == "__main__":
    asyncio.run(main())
"""
API = "from fastapi import FastAPI\napp = FastAPI()\n"


def worker(queue: str, imports: str = "", address: str = "localhost:7233", kinds: str = "workflows") -> str:
    return WORKER.format(queue=queue, imports=imports, address=address, kinds=kinds)


def make(folder: Path, sources: Mapping[str, str | bytes]) -> Path:
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def proposed(folder: Path, sources: Mapping[str, str | bytes], **variables: str) -> Proposal:
    return propose(make(folder, sources), variables, (8000, 7233), {})


def only(proposal: Proposal) -> Process:
    assert len(proposal.processes) == 1, proposal
    return proposal.processes[0]


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
        ("settings.given", "class S(BaseSettings):\n    given: str = 'x'\nsettings = S()", {}, "given"),
    ],
)
def test_the_queue_of_a_worker(tmp_path, queue, imports, others, expected):
    found = only(proposed(tmp_path, {"worker.py": worker(queue, imports), **others}, GIVEN="given"))
    assert found.queues == (expected,)
    assert found.ready == f"worker:{expected}/workflow"


@pytest.mark.parametrize("queue", ["sys.argv[1]", 'os.environ["NOT_SET"]', "unknown()", "QUEUE"])
def test_a_queue_that_is_not_known_is_asked_for(tmp_path, queue):
    sources = {"worker.py": worker(queue, "QUEUE = QUEUE")}
    found = proposed(tmp_path, sources)
    assert [question.key for question in found.questions] == ["queue.worker"]
    assert only(found).ready == "worker:QUEUE"
    answered = propose(tmp_path, {}, (8000, 7233), {"queue.worker": "mine"})
    assert not answered.questions
    assert only(answered).ready == "worker:mine"


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


def test_a_seed_is_said_and_not_run(tmp_path):
    seed = {"seed.py": "if __name__ == '__main__': ...", "README.md": "python seed.py"}
    found = proposed(tmp_path, {"worker.py": worker('"q"'), **seed})
    assert only(found).name == "worker"
    assert found.notes == ("README.md has `python seed.py`: left out, since it may not be for each start",)


# --- what is left to the user -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "package", "others", "line"),
    [
        (
            "ui/package.json",
            '{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "5"}}',
            {},
            "ui: npm --prefix ui run dev",
        ),
        (
            "package.json",
            '{"scripts": {"start": "x"}, "dependencies": {"react-scripts": "5"}}',
            {},
            "frontend: npm run start",
        ),
        (
            "apps/site/package.json",
            '{"scripts": {"dev": "next"}, "dependencies": {"next": "15"}}',
            {"pnpm-lock.yaml": ""},
            "site: pnpm --dir apps/site run dev",
        ),
        (
            "worker/package.json",
            '{"scripts": {"dev": "x"}, "dependencies": {"express": "5"}}',
            {"worker/yarn.lock": ""},
            "worker-js: yarn --cwd worker run dev",
        ),
    ],
)
def test_a_frontend_is_named_with_the_line_that_runs_it(tmp_path, path, package, others, line):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), path: package, **others})
    assert only(found).name == "worker"
    assert f"add `{line}` to the Procfile" in found.notes[0]


@pytest.mark.parametrize(
    "package", ['{"devDependencies": {"vite": "5"}}', '{"scripts": {"dev": "x"}}', "[]", "", '{"scripts": 1}']
)
def test_what_is_no_frontend_is_not_named(tmp_path, package):
    assert proposed(tmp_path, {"worker.py": worker('"q"'), "package.json": package}).notes == ()


def test_keys_that_nobody_has_set_are_said_by_their_names(tmp_path):
    example = """
    # a comment = of words
    OPENAI_API_KEY=sk-1234
    export DB_PASSWORD="hunter2"
    LOG_LEVEL=info
    MODEL=
    URL=https://your-host/
    GIVEN_TOKEN=x
    IN_FILE_TOKEN=x
    #OTHER_TOKEN=x
    """
    sources = {"worker.py": worker('"q"'), "b/.env.example": example, "b/.env": "IN_FILE_TOKEN=secret"}
    found = proposed(tmp_path, sources, GIVEN_TOKEN="secret")
    assert found.notes == (
        "b/.env.example has OPENAI_API_KEY, DB_PASSWORD, MODEL, URL, which are not set: add them to b/.env",
    )


# --- what is around them ----------------------------------------------------------------------------------------------


def test_where_the_server_is(tmp_path):
    fixed = proposed(tmp_path, {"worker.py": worker('"q"', address="localhost:7244")})
    assert fixed.settings["TEMPORAL_PORT"].value == "7244"
    compose = proposed(tmp_path, {"worker.py": worker('"q"', address="temporal:7233")})
    assert any("exists only inside compose" in note for note in compose.notes)
    source = worker('"q"').replace('"localhost:7233"', 'os.getenv("{}", "temporal:7233")')
    assert not proposed(tmp_path, {"worker.py": source.replace("{}", "TEMPORAL_ADDRESS")}).notes, "mika sets it"
    assert "set T_URL" in proposed(tmp_path, {"worker.py": source.replace("{}", "T_URL")}).notes[0]


def test_which_backend_is_left_to_auto_unless_it_would_start_a_temporal_that_nobody_uses(tmp_path):
    server = "services: {t: {image: temporalio/server}, api: {build: .}}\n"
    assert "MIKA_BACKEND" not in proposed(tmp_path, {"worker.py": worker('"q"'), "compose.yml": server}).settings
    (tmp_path / "worker.py").unlink()
    web = {"main.py": API}
    assert proposed(tmp_path, {**web, "compose.yml": server}).settings["MIKA_BACKEND"].value == "none"
    assert "MIKA_BACKEND" not in proposed(tmp_path, {**web, "compose.yml": "services: {d: {image: mongo}}\n"}).settings
    (tmp_path / "compose.yml").unlink()
    down = proposed(tmp_path, {**web, "deploy/compose.yml": "services: {}\n"})
    assert any("COMPOSE_FILE=deploy/compose.yml in .env" in note for note in down.notes)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"pyproject.toml": "[tool.poetry]\n"}, "poetry"),
        ({"uv.lock": "", "pyproject.toml": ""}, "uv"),
        ({"uv.lock": "", "pyproject.toml": "", "a/pyproject.toml": ""}, "uv"),
        ({"pyproject.toml": '[tool.uv.workspace]\nmembers = ["*"]', "a/pyproject.toml": "[tool.uv]"}, "uv"),
        ({"Pipfile": ""}, "pipenv"),
        ({"requirements.txt": ""}, "pip"),
        ({"pyproject.toml": "not [toml"}, "pip"),
        ({}, ""),
    ],
)
def test_a_declared_environment(tmp_path, marks, expected):
    make(tmp_path, {"a/w.py": "", **marks})
    found = tooling(Files(tmp_path), "a/w.py")
    assert (found.tool, found.folder) == (expected, "")


def test_how_a_declared_environment_is_made(tmp_path):
    make(tmp_path, {"a/requirements.txt": "", "b/pyproject.toml": "", "c/uv.lock": ""})
    files = Files(tmp_path)
    a, b, c = (tooling(files, f"{part}/x.py") for part in "abc")
    assert a.install("venv/bin/python") == "`venv/bin/python -m pip install -r requirements.txt`"
    assert a.install().startswith("`python -m venv .venv`, then `.venv")
    assert b.install("p") == "`p -m pip install -e .`"
    assert c.install("p") == "`uv sync`"


def test_the_files_of_init_say_what_up_has_in_memory(tmp_path):
    sources = {"src/app/worker.py": worker('"q"', "from app import jobs"), "src/app/jobs.py": "", "web.py": API}
    found = proposed(tmp_path, sources)
    in_memory = written.configured(found, load(tmp_path, environ={}))
    make(tmp_path, {"Procfile": written.procfile(found), "mika.toml": written.mika_toml(found)})
    from_files = load(tmp_path, environ={})
    assert in_memory.processes == from_files.processes
    assert from_files.processes["worker"] == ProcessOptions(ready="worker:q/workflow", env={"PYTHONPATH": "src"})
    assert {name: setting.value for name, setting in in_memory.settings.items()} == {
        name: setting.value for name, setting in from_files.settings.items()
    }
    read = [(entry.name, entry.command) for entry in entries.read(tmp_path / "Procfile")]
    assert read == [(entry.name, entry.command) for entry in written.entries(found)]


# --- bad input --------------------------------------------------------------------------------------------------------


def test_what_is_no_python_is_said(tmp_path):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), "broken.py": "from temporalio import\n"})
    assert only(found).name == "worker"
    assert any(note.startswith("broken.py:1: not understood") for note in found.notes)


@pytest.mark.parametrize(
    ("path", "source", "note"),
    [
        ("a/pyproject.toml", "[project\nname = 1", "a/pyproject.toml:1:9: not valid TOML"),
        ("a/package.json", '{"a": 1,\n}', "a/package.json:2:1: not valid JSON"),
        ("a/package.json", "[" * 100_000, "a/package.json: is nested too deeply"),
        ("compose.yml", "a: [\n b: c", "compose.yml:3: not valid YAML"),
    ],
)
def test_a_manifest_that_is_not_valid_is_said(tmp_path, path, source, note):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), path: source})
    assert only(found).name == "worker"
    assert found.notes[0].startswith(note)
    assert all(guess.why == "compose.yml is not understood" for guess in found.settings.values())


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbf" + worker('"q"').encode(),
        b"# -*- coding: latin-1 -*-\n# \xe9\n" + worker('"q"').encode(),
        worker('"q"').replace("\n", "\r\n").encode(),
    ],
)
def test_other_encodings(tmp_path, source):
    assert only(proposed(tmp_path, {"worker.py": source})).queues == ("q",)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\0temporalio",
        b"\xff\xfetemporalio",
        b"import temporalio\n" + b"(" * 100_000,
        b"import temporalio\nx = " + b"-" * 50_000 + b"1\n",
        b"import temporalio\nx = " + b"a." * 40_000 + b"b\n",
        "\n".join(["from temporalio.worker import Worker", *(f"a{n} = a{n + 1} or a{n + 1} " * 1 for n in range(30))]),
        "import temporalio\nfrom . import a\nfrom .... import b\nfrom a import *\nfrom __main__ import x\n",
    ],
    ids=range(8),
)
def test_odd_sources(tmp_path, source):
    proposed(tmp_path, {"a.py": source, "b/a.py": source, "README.md": source, "compose.yml": b"a: \xff"})


def test_values_in_a_circle_and_in_great_number(tmp_path):
    wide = "\n".join(f"Q{n} = " + " or ".join([f"Q{n + 1}"] * 200) for n in range(20))
    began = time.monotonic()
    assert proposed(tmp_path, {"worker.py": worker("Q0", wide)}).questions
    assert time.monotonic() - began < 10


@posix_only
def test_links_are_not_followed(tmp_path):
    make(tmp_path, {"a/worker.py": worker('"q"')})
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self.py").symlink_to("self.py")
    os.mkfifo(tmp_path / "a" / "pipe.py")
    assert len(proposed(tmp_path, {}).processes) == 1


@posix_only
def test_odd_names_of_files(tmp_path):
    """A command is pasted as it stands, and what cannot be in a line is left out."""
    make(tmp_path, {"my worker.py": worker('"q"'), "it's/w.py": worker('"r"'), "a\nb/w.py": worker('"s"')})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text(worker('"t"'))
    commands = {process.command for process in proposed(tmp_path, {}).processes}
    assert {tuple(shlex.split(command)) for command in commands} == {
        ("python", "my worker.py"),
        ("python", "it's/w.py"),
    }


def test_names_that_no_variable_can_have(tmp_path):
    source = (
        worker('os.getenv("A B", "q")')
        + API
        + 'if __name__ == "__main__":\n    uvicorn.run(app, port=os.getenv("P={}"))\n'
    )
    found = proposed(tmp_path, {"worker.py": source})
    assert all(not process.env for process in found.processes)


def test_what_there_is_no_time_for_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "SECONDS", -1)
    assert "more files than could be looked at" in proposed(tmp_path, {"worker.py": worker('"q"')}).notes[-1]


def test_large_files_and_notebooks_are_left_out(tmp_path):
    large = worker('"q"') + "#" * files_module.LARGEST
    assert not proposed(tmp_path, {"worker.py": large, "w.ipynb": worker('"q"')}).processes
