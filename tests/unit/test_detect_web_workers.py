"""A worker and a web app in one program, and in one file."""

from __future__ import annotations

import pytest

from tests.kit.sources import API, only, proposed, worker

MAKER = """
from temporalio.client import Client
from temporalio.worker import Worker
async def run_worker():
    client = await Client.connect("localhost:7233")
    await Worker(client, task_queue="q", workflows=[]).run()
class Manager:
    async def start(self):
        await run_worker()
"""
SERVE = """
import asyncio, uvicorn
async def main():
    await asyncio.gather(run_worker(), uvicorn.Server(uvicorn.Config(app, port=4000)).serve())
if __name__ == "__main__":
    asyncio.run(main())
"""
WITH_LIFESPAN = "async def lifespan(app):\n    {}\n    yield\napp = FastAPI(lifespan=lifespan)\n"
OWN_CLASS = """
from temporalio.worker import Worker
class Own:
    async def begin(self):
        await Worker(None, task_queue="q", workflows=[]).run()
app = FastAPI()
app.state = Own()
"""
IMPORTS = "from fastapi import FastAPI\nfrom jobs import Manager, run_worker\nimport jobs\n"


@pytest.mark.parametrize(
    "source",
    [
        WITH_LIFESPAN.format("asyncio.create_task(run_worker())"),
        WITH_LIFESPAN.format("asyncio.create_task(jobs.run_worker())"),
        WITH_LIFESPAN.format("await manager.start()") + "manager = Manager()\n",
        OWN_CLASS,
        "app = FastAPI()\n@app.on_event('startup')\nasync def begin():\n    await run_worker()\n",
        "app = FastAPI()\napp.add_event_handler('startup', run_worker)\n",
        "def create_app():\n    app = FastAPI(on_startup=[run_worker])\n    return app\napp = create_app()\n",
    ],
)
def test_a_worker_that_the_app_starts(tmp_path, source):
    found = only(proposed(tmp_path, {"main.py": IMPORTS + source, "jobs.py": MAKER}))
    assert "the worker of q runs inside it" in found.why
    assert found.queues == ("q",)


def test_the_queue_of_a_worker_inside_that_only_an_example_says(tmp_path):
    source = IMPORTS + WITH_LIFESPAN.format("await run_worker()")
    maker = MAKER.replace('"q"', 'os.environ["Q"]').replace("async", "import os\nasync", 1)
    found = only(proposed(tmp_path, {"main.py": source, "jobs.py": maker, ".env.example": "Q=orders\n"}))
    assert "the worker of orders runs inside it" in found.why
    assert (found.queues, found.env["Q"]) == (("orders",), "orders")


@pytest.mark.parametrize("imports", ["from jobs import run_worker", "from jobs import *", "import jobs as work"])
def test_a_program_that_only_imports_what_is_beside_a_worker_is_none(tmp_path, imports):
    begin = "import asyncio\n{}\nif __name__ == '__main__':\n    asyncio.run({}())\n"
    called = "work.run_worker" if "work" in imports.split() else "run_worker"
    sources = {
        "jobs.py": MAKER + "async def connect():\n    return await Client.connect('localhost:7233')\n",
        "serve.py": begin.format(imports, called),
        "order.py": begin.format("from jobs import connect", "connect"),
    }
    assert only(proposed(tmp_path, sources)).command == "python serve.py"


def test_an_app_that_starts_the_worker_comes_before_a_program_that_imports_it(tmp_path):
    sources = {
        "main.py": IMPORTS + WITH_LIFESPAN.format("await run_worker()"),
        "jobs.py": MAKER + "async def connect():\n    return await Client.connect('localhost:7233')\n",
        "order.py": "from jobs import connect\nif __name__ == '__main__':\n    asyncio.run(connect())\n",
    }
    found = only(proposed(tmp_path, sources))
    assert (found.name, found.queues) == ("web", ("q",))


def test_a_worker_that_is_only_imported_is_not_inside(tmp_path):
    found = proposed(tmp_path, {"main.py": IMPORTS + "app = FastAPI()\n", "jobs.py": MAKER})
    assert only(found).queues == ()
    assert found.notes == ("jobs.py makes a worker, but nothing here starts it as a program",)


def test_a_program_that_serves_its_app_beside_its_worker_is_run_itself(tmp_path):
    found = only(proposed(tmp_path, {"main.py": f"{IMPORTS}app = FastAPI()\n{SERVE}", "jobs.py": MAKER}))
    assert (found.command, found.ready, found.queues) == ("python main.py", "tcp:4000", ("q",))


def test_a_program_in_the_file_of_an_app_that_runs_the_worker_alone(tmp_path):
    source = f"{IMPORTS}app = FastAPI()\nif __name__ == '__main__':\n    asyncio.run(run_worker())\n"
    web, work = proposed(tmp_path, {"main.py": source, "jobs.py": MAKER}).processes
    assert web.command.startswith("python -m uvicorn main:app ")
    assert web.queues == ()
    assert (work.name, work.command, work.ready) == ("worker", "python main.py", "worker:q/workflow")


@pytest.mark.parametrize("app", ["app", '"api:app"'])
@pytest.mark.parametrize("own", ["", "if __name__ == '__main__':\n    uvicorn.run(app, port=4000)\n"])
def test_a_worker_that_serves_the_app_of_another_file(tmp_path, app, own):
    sources = {
        "api.py": f"import uvicorn\n{API}@app.get('/health')\ndef health(): pass\n{own}",
        "work.py": "from api import app\n" + MAKER + SERVE.replace("Config(app", f"Config({app}"),
    }
    found = only(proposed(tmp_path, sources))
    assert (found.name, found.command) == ("worker", "python work.py")
    assert found.ready == "worker:q/workflow"
    assert "it serves the web app of api.py, too" in found.why


def test_a_worker_beside_the_app_of_another_file(tmp_path):
    sources = {"api.py": API, "work.py": "from api import app\n" + worker('"q"')}
    assert [process.name for process in proposed(tmp_path, sources).processes] == ["web", "worker"]


FACTORY = """
from flask import Flask
def create_app():
    app = Flask(__name__)
    {settings}
    return app
"""
SETTINGS = "import os\nclass Config:\n    TASK_QUEUE = os.getenv('TASK_QUEUE', 'orders')\n"


@pytest.mark.parametrize(
    ("settings", "queue"),
    [
        ('app.config.from_object("settings.Config")', 'app.config["TASK_QUEUE"]'),
        ('app.config.from_object("settings")', 'app.config.get("TASK_QUEUE", "by-default")'),
        ("from settings import Config; app.config.from_object(Config)", 'app.config["TASK_QUEUE"]'),
        ('app.config["TASK_QUEUE"] = os.getenv("TASK_QUEUE", "orders")', 'app.config["TASK_QUEUE"]'),
        ('app.config["TASK_QUEUE"] = "orders"', 'app.config["TASK_QUEUE"]'),
        ('app.config.from_mapping(TASK_QUEUE=os.getenv("TASK_QUEUE", "orders"))', 'app.config["TASK_QUEUE"]'),
    ],
)
def test_a_worker_with_the_app_of_flask_for_its_settings(tmp_path, settings, queue):
    files = {
        "shop/__init__.py": FACTORY.format(settings=settings),
        "settings.py": SETTINGS,
        "wsgi.py": "from shop import create_app\napp = create_app()\n",
        "worker.py": worker(queue, "from shop import create_app\napp = create_app()"),
    }
    web, work = proposed(tmp_path, files).processes
    assert web.command.startswith("python -m flask --app wsgi:app run ")
    assert (work.command, work.queues) == ("python worker.py", ("orders",))


@pytest.mark.parametrize("serve", ["app.run(debug=False)", "import uvicorn; uvicorn.run(app)"])
def test_a_worker_that_serves_the_app_that_it_makes_is_a_web_app(tmp_path, serve):
    source = worker('"q"', "from shop import create_app\napp = create_app()") + f"    {serve}\n"
    found = proposed(tmp_path, {"shop.py": FACTORY.format(settings=""), "worker.py": source})
    assert any("worker:app" in process.command for process in found.processes)


FIELD = "class Settings(BaseSettings):\n    task_queue: str{}\nsettings = Settings()\n"
JOBS = "services:\n  jobs:\n    build: .\n    command: python worker.py\n    environment: {TASK_QUEUE: mine}\n"


@pytest.mark.parametrize(
    ("conf", "used", "files", "told"),
    [
        (FIELD.format(""), "conf.settings.task_queue", {".env.example": "TASK_QUEUE=mine\n"}, True),
        (FIELD.format(" = 'another'"), "conf.settings.task_queue", {"compose.yml": JOBS}, True),
        ("import os\nQUEUE = os.environ['TASK_QUEUE']\n", "conf.QUEUE", {"compose.yml": JOBS}, True),
        ("OTHER = 1\n", "os.environ['TASK_QUEUE']", {"compose.yml": JOBS}, False),
    ],
)
def test_a_web_app_is_told_the_task_queue_that_its_worker_is_told(tmp_path, conf, used, files, told):
    sources = {"worker.py": worker(used, "import conf"), "api.py": f"import conf\n{API}", "conf.py": conf}
    web, work = proposed(tmp_path, {**sources, **files}).processes
    assert (work.queues, work.env) == (("mine",), {"TASK_QUEUE": "mine"})
    assert web.env == ({"TASK_QUEUE": "mine"} if told else {})
