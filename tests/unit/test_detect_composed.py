"""A worker that the compose file starts with a PYTHONPATH in a container of its own."""

from __future__ import annotations

import os

import pytest

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
