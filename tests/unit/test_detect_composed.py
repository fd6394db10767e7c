"""A worker that the compose file starts with a PYTHONPATH in a container of its own."""

from __future__ import annotations

import os

import pytest
from mika.detect.proposal import propose

from tests.kit.sources import only, proposed, worker

COMPOSE = """services:
  jobs:
    build: {build}
    environment: {environment}
    command: {command}
"""
DOCKERFILE = "FROM python:3.11\nWORKDIR /app\nCOPY . .\n"
FILES = {
    "services/jobs/worker.py": worker('"q"'),
    "services/jobs/requirements.txt": "",
    "packages/common/shared/__init__.py": "",
}
PLAIN = {
    "build": ".",
    "environment": '["PYTHONPATH=/app:/app/packages/common"]',
    "command": "python services/jobs/worker.py",
}


@pytest.mark.parametrize(
    ("change", "command"),
    [
        ({}, "python services/jobs/worker.py"),
        ({"command": "python /app/services/jobs/worker.py"}, "python services/jobs/worker.py"),
        ({"command": '["python3", "-m", "services.jobs.worker", "--all"]'}, "python -m services.jobs.worker --all"),
        ({"build": "{context: .}"}, "python services/jobs/worker.py"),
        ({"environment": '{PYTHONPATH: "/app:/app/packages/common", A: b}'}, "python services/jobs/worker.py"),
    ],
)
def test_what_compose_starts_with_a_python_path(tmp_path, change, command):
    compose = COMPOSE.format(**{**PLAIN, **change})
    found = only(proposed(tmp_path, {**FILES, "compose.yml": compose, "Dockerfile": DOCKERFILE}))
    assert (found.command, found.cwd) == (command, "")
    assert found.env == {"PYTHONPATH": os.pathsep.join([".", "packages/common"])}
    assert found.ready == "worker:q/workflow"


@pytest.mark.parametrize(
    ("change", "dockerfile"),
    [
        ({"environment": '["PYTHONPATH=/srv/lib"]'}, DOCKERFILE),
        ({"environment": '["PYTHONPATH=/app/missing"]'}, DOCKERFILE),
        ({"environment": "[]"}, DOCKERFILE),
        ({"command": "sh -c 'python services/jobs/worker.py'"}, DOCKERFILE),
        ({"command": "python services/other/worker.py"}, DOCKERFILE),
        ({"build": "{context: ., dockerfile: other/Dockerfile}"}, DOCKERFILE),
        ({"build": ".."}, DOCKERFILE),
        ({}, "FROM python:3.11\n"),
    ],
)
def test_what_is_not_certain_stays_as_it_is(tmp_path, change, dockerfile):
    compose = COMPOSE.format(**{**PLAIN, **change})
    found = only(proposed(tmp_path, {**FILES, "compose.yml": compose, "Dockerfile": dockerfile}))
    assert (found.command, found.cwd, found.env) == ("python worker.py", "services/jobs", {})


def test_a_part_that_has_an_environment_of_its_own_is_run_in_it(tmp_path):
    files = {**FILES, "compose.yml": COMPOSE.format(**PLAIN), "Dockerfile": DOCKERFILE}
    found = only(proposed(tmp_path, {**files, "services/jobs/.venv/pyvenv.cfg": ""}))
    assert found.cwd == "services/jobs"


# --- several services of one program ----------------------------------------------------------------------------------

SERVICES = """services:
  temporal: {{image: temporalio/auto-setup}}
  orders: {{build: ., command: {}, environment: {}}}
  mail: {{build: ., command: {}, environment: {}}}
"""
BY_VARIABLE = worker('os.environ["QUEUE"]')
BY_OPTION = worker("args.queue", 'parser.add_argument("--queue", required=True)').replace(
    'queue="from-a-default"', "args=None"
)


def of_services(
    tmp_path, source: str, orders: tuple[str, str], mail: tuple[str, str], **given: str
) -> dict[str, tuple[str, tuple[str, ...], dict[str, str]]]:
    compose = SERVICES.format(*orders, *mail)
    found = proposed(tmp_path, {"worker.py": source, "compose.yml": compose, "Dockerfile": DOCKERFILE}, **given)
    assert not found.questions
    return {process.name: (process.command, process.queues, dict(process.env)) for process in found.processes}


@pytest.mark.parametrize("form", ["[QUEUE={}, TEMPORAL_ADDRESS='temporal:7233']", "{{QUEUE: {}, DB: 'db:5432'}}"])
def test_services_that_differ_in_the_variable_of_the_queue(tmp_path, form):
    services = ("python worker.py", form.format("orders")), ("[python, worker.py]", form.format("mail"))
    assert of_services(tmp_path, BY_VARIABLE, *services, QUEUE="mine") == {
        "orders": ("python worker.py", ("orders",), {"QUEUE": "orders"}),
        "mail": ("python worker.py", ("mail",), {"QUEUE": "mail"}),
    }


@pytest.mark.parametrize("option", ["--queue {}", "--queue={}"])
def test_services_that_differ_in_an_option(tmp_path, option):
    services = [(f"python worker.py {option.format(queue)}", "{}") for queue in ("orders", "mail")]
    assert of_services(tmp_path, BY_OPTION, *services) == {
        "orders": (f"python worker.py {option.format('orders')}", ("orders",), {}),
        "mail": (f"python worker.py {option.format('mail')}", ("mail",), {}),
    }


def test_services_of_a_program_with_several_workers(tmp_path):
    """Which of the queues each polls, nothing says: then it is ready as soon as it runs."""
    source = worker('"a"').replace("if __name__", 'async def other(): Worker(None, task_queue="b")\nif __name__')
    services = [(f"python worker.py --mode {mode}", "{}") for mode in ("a", "b")]
    found = of_services(tmp_path, source, *services)
    assert {name: (command, queues) for name, (command, queues, _env) in found.items()} == {
        "orders": ("python worker.py --mode a", ()),
        "mail": ("python worker.py --mode b", ()),
    }


def test_services_that_are_the_same_are_one_process(tmp_path):
    services = ("python worker.py", "[QUEUE=q, UNREAD=a]"), ("python worker.py", "[QUEUE=q, UNREAD=b]")
    assert of_services(tmp_path, BY_VARIABLE, *services) == {"worker": ("python worker.py", ("q",), {"QUEUE": "q"})}
    assert of_services(tmp_path, BY_VARIABLE, *services, QUEUE="mine")["worker"][1:] == (("mine",), {})


def test_no_secret_of_a_service_is_written(tmp_path):
    """They may be filled in from `.env`, and mika.toml is committed."""
    source = worker(
        'os.environ["QUEUE"]', 'KEY = os.environ["API_KEY"]\nURL = os.environ["DB"]\nMODE = os.environ["MODE"]'
    )
    form = "[QUEUE={}, API_KEY={}, 'DB=postgres://me:{}@127.0.0.1/x', MODE={}]"
    services = [
        ("python worker.py", form.format(*values)) for values in (("a", "k1", "p1", "m1"), ("b", "k2", "p2", "m2"))
    ]
    assert of_services(tmp_path, source, *services) == {
        "orders": ("python worker.py", ("a",), {"QUEUE": "a", "MODE": "m1"}),
        "mail": ("python worker.py", ("b",), {"QUEUE": "b", "MODE": "m2"}),
    }


def test_the_queue_that_the_example_of_an_env_file_has(tmp_path):
    sources = {"worker.py": BY_VARIABLE, ".env.example": "QUEUE=orders  # of the shop\n"}
    found = proposed(tmp_path, sources)
    assert only(found).queues == ("orders",)
    assert only(found).env == {"QUEUE": "orders"}
    assert only(found).why == ("worker.py polls orders: QUEUE of .env.example",)
    placeholder = proposed(tmp_path, {**sources, ".env.example": "QUEUE=<your queue>\n"})
    assert [question.key for question in placeholder.questions] == ["queue.worker"]


# --- ports ------------------------------------------------------------------------------------------------------------

WEB = "services:\n  a: {{build: {build}, command: {command}, ports: ['{ports}']}}\n"
API = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("build", "command", "ports", "port"),
    [
        ("./a", "uvicorn main:app --host 0.0.0.0 --port 8080", "9001:8080", 9001),
        ("./a", "''", "9001:8080", 9001),  # of its Dockerfile
        (".", "python -m uvicorn a.main:app", "127.0.0.1:9001:8080", 9001),
        ("./a", "uvicorn main:app", "80:8080", 8000),
        ("./b", "uvicorn main:app", "9001:8080", 8000),
        ("./a", "uvicorn other:app", "9001:8080", 8000),
    ],
)
def test_the_port_at_which_compose_has_a_web_app(tmp_path, build, command, ports, port):
    sources = {
        "compose.yml": WEB.format(build=build, command=command, ports=ports),
        "a/main.py": API,
        "a/Dockerfile": 'CMD ["uvicorn", "main:app", "--port", "8080"]\n',
    }
    assert only(proposed(tmp_path, sources)).ready == f"tcp:{port}"
    mine = propose(tmp_path, {"API_PORT": "8111"}, (8111, 7233), {})
    assert only(mine).ready == "tcp:8111", "what the user has set counts more"
