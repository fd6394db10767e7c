"""Programs that are a worker only with an argument."""

from __future__ import annotations

import pytest

from tests.kit.sources import API, only, proposed, worker

ARGV = worker("QUEUES[sys.argv[1]]", 'import sys\nQUEUES = {"mail": queue_of("mail"), "orders": queue_of("orders")}')
SUBCOMMANDS = worker(
    '"q"',
    "import argparse\nparser = argparse.ArgumentParser()\ncommands = parser.add_subparsers()\n"
    'commands.add_parser("migrate")\nstart = commands.add_parser("run-worker", help="x")',
)
FIRE = worker(
    '"q"',
    "import fire\nfire.Fire\nclass Tasks:\n    def worker(self):\n        asyncio.run(main())\n    def start(self): 0",
)


def commands(found):
    return [process.command for process in found.processes]


def test_a_worker_that_the_project_starts_with_several_arguments(tmp_path):
    makefile = "orders:\n\tuv run python -m workers.runner orders\nmail:\n\tpython -m workers.runner mail --fast\n"
    found = proposed(tmp_path, {"workers/runner.py": ARGV, "Makefile": makefile})
    assert commands(found) == ["python workers/runner.py orders", "python workers/runner.py mail --fast"]
    assert [process.name for process in found.processes] == ["orders", "mail"]
    assert found.processes[1].why[1] == "Makefile starts it with `mail --fast`"
    assert [question.text for question in found.questions] == [
        "which task queue does orders (`python workers/runner.py orders`) poll?",
        "which task queue does mail (`python workers/runner.py mail --fast`) poll?",
    ]


@pytest.mark.parametrize(
    "readme",
    [
        "python -m workers.runner in another terminal",  # a sentence
        "python -m workers.runner other",  # the program knows no such word
        "python -m workers.runner <component>",
    ],
)
def test_what_is_no_argument(tmp_path, readme):
    found = proposed(tmp_path, {"workers/runner.py": ARGV, "README.md": readme})
    assert only(found).command == "python workers/runner.py"


@pytest.mark.parametrize(
    ("source", "readme", "command"),
    [
        (SUBCOMMANDS, "", "python tasks.py run-worker"),
        (SUBCOMMANDS, "`python tasks.py run-worker --threads 4`", "python tasks.py run-worker --threads 4"),
        (SUBCOMMANDS.replace('"migrate"', '"worker"'), "", "python tasks.py"),  # which of two?
        (FIRE, "python tasks.py start\npython tasks.py worker", "python tasks.py worker"),
        (FIRE, "python tasks.py start", "python tasks.py"),
        (worker('"q"'), "python tasks.py main", "python tasks.py"),  # it takes none
    ],
)
def test_the_command_that_is_a_worker(tmp_path, source, readme, command):
    found = only(proposed(tmp_path, {"tasks.py": source, "README.md": readme}))
    assert (found.command, found.queues) == (command, ("q",))


MODES = """
import asyncio, sys, uvicorn
from jobs import main
from api import app
if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(main())
    else:
        uvicorn.run(app, port=4000)
"""
IMAGE = (
    "services:\n  api: {build: ., command: python start.py api}\n  jobs: {build: ., command: python start.py worker}\n"
)


def test_a_service_that_is_another_command_of_the_same_program_is_no_worker(tmp_path):
    jobs = worker('"q"').partition('if __name__ == "__main__":')[0]
    sources = {"start.py": MODES, "jobs.py": jobs, "api.py": API, "compose.yml": IMAGE}
    found = proposed(tmp_path, sources).processes
    assert [(each.name, each.command, each.queues) for each in found] == [
        ("web", "python -m uvicorn api:app --host 127.0.0.1 --port 8000", ()),
        ("worker", "python start.py worker", ("q",)),
    ]


def test_an_option_that_a_worker_requires(tmp_path):
    source = worker(
        "QUEUES[args.kind]",
        'import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument("--kind", required=True)\n'
        'parser.add_argument("--debug")\nargs = parser.parse_args()',
    )
    makefile = "io:\n\tpython worker.py --kind io --debug 1\n"
    makefile += "cpu:\n\tpython worker.py --kind=cpu\nx:\n\tpython worker.py --debug 1\n"
    found = proposed(tmp_path, {"worker.py": source, "Makefile": makefile}).processes
    assert [(each.name, each.command) for each in found] == [
        ("io", "python worker.py --kind io --debug 1"),
        ("cpu", "python worker.py --kind=cpu"),
    ]
