"""A project of several parts that share a library of their own."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
from mika.detect.files import Files
from mika.detect.sources import Sources

from tests.kit.sources import HERE, make, only, proposed

RUNNER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
class Runner:
    def __init__(self, task_queue, workflows=()):
        self._task_queue = task_queue
        self._workflows = workflows
    async def serve(self):
        client = await Client.connect(os.environ.get("T_URL", "localhost:7233"))
        await Worker(client, task_queue=self._task_queue, workflows=self._workflows).run()
    def run(self):
        asyncio.run(self.serve())
"""
PART = '[project]\nname = "{0}"\ndependencies = ["{1}"]\n[project.scripts]\n{0} = "{2}:main"\n[build-system]\n'
ORDERS = "from shared_lib import Runner\ndef main():\n    Runner({}).run()\n"


def shop(dependency: str = "shared-lib") -> dict[str, str]:
    return {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n',
        "libs/shared/pyproject.toml": PART.format("shared-lib", "temporalio", "none"),
        "libs/shared/src/shared_lib/__init__.py": "from .runner import Runner\n",
        "libs/shared/src/shared_lib/runner.py": RUNNER,
        "apps/mail/pyproject.toml": PART.format("mail", dependency, "mail.app"),
        "apps/mail/src/mail/__init__.py": "",
        "apps/mail/src/mail/app.py": ORDERS.format('task_queue="mails"'),
        "apps/orders/pyproject.toml": PART.format("orders", dependency, "orders.app"),
        "apps/orders/orders/__init__.py": "",
        "apps/orders/orders/app.py": ORDERS.format('"orders"') + 'if __name__ == "__main__":\n    main()\n',
    }


@pytest.mark.parametrize("dependency", ["shared-lib", "Shared_Lib>=1", "shared.lib[x] ; python_version > '3'"])
def test_workers_that_a_library_of_the_project_makes(tmp_path, dependency):
    found = proposed(tmp_path, shop(dependency))
    assert not found.questions
    assert not found.notes
    assert sorted((each.cwd, each.command, each.queues, each.env["T_URL"]) for each in found.processes) == [
        ("apps/mail", "mail", ("mails",), HERE),
        ("apps/orders", "python -m orders.app", ("orders",), HERE),
    ]


def test_a_library_that_a_part_does_not_declare_is_another_one(tmp_path):
    found = proposed(tmp_path, shop("shared-lib-of-others"))
    assert not any(process.queues for process in found.processes)


def test_a_server_is_told_the_address_that_the_library_reads(tmp_path):
    sources = {name: text for name, text in shop().items() if not name.startswith("apps/")} | {
        "apps/api/pyproject.toml": PART.format("api", "shared-lib", "none"),
        "apps/api/main.py": "from fastapi import FastAPI\nfrom shared_lib import Runner\napp = FastAPI()\n",
    }
    assert [process.env for process in proposed(tmp_path, sources).processes] == [{"T_URL": HERE}]


def node(name: str, *dependencies: str, **others: object) -> str:
    return json.dumps({"name": name, "dependencies": dict.fromkeys(dependencies, "workspace:*"), **others})


@pytest.mark.parametrize(
    ("entry", "is_watched"),
    [
        ({"main": "./src/index.ts"}, True),
        ({}, True),
        ({"exports": {".": {"types": "./dist/index.d.ts", "default": "./src/index.ts"}}}, True),
        ({"main": "dist/index.js"}, False),
        ({"exports": {".": {"types": "./src/index.ts", "default": "./dist/index.js"}}}, False),
    ],
)
def test_packages_of_a_workspace_for_node_that_are_imported_as_they_are(tmp_path, entry, is_watched):
    """What must be built first is no reason to start again: its source is not what runs."""
    dependencies = ("@temporalio/worker", "@acme/workflows")
    found = proposed(
        tmp_path,
        {
            "apps/worker/package.json": node("@acme/worker", *dependencies, scripts={"start": "tsx src/index.ts"}),
            "apps/worker/src/index.ts": "const worker = await Worker.create({ taskQueue: 'orders' });\n",
            "packages/workflows/package.json": node("@acme/workflows", "@acme/shared", **entry),
            "packages/workflows/src/index.ts": "",
            "packages/shared/package.json": node("@acme/shared", "@acme/workflows", main="src/index.ts"),
            "packages/shared/src/index.ts": "",
            "packages/unused/package.json": node("@acme/unused"),
            "packages/unused/src/index.ts": "",
        },
    )
    watched = ["apps/worker/**/*.ts", "packages/workflows/**/*.ts", "packages/shared/**/*.ts"]
    assert [*only(found).watch] == (watched if is_watched else watched[:1])


def test_each_import_of_a_project_is_looked_up_once_for_all_that_asks_what_a_file_reaches(tmp_path, monkeypatch):
    names = [f"m{number}" for number in range(10)]
    imports = "".join(f"import {name}\n" for name in names)
    sources = Sources(Files(make(tmp_path, {f"{name}.py": f"{imports}import asyncio\n" for name in names})), {})
    looked_up = Mock(wraps=sources.find)
    monkeypatch.setattr(sources, "find", looked_up)
    for name in names * 3:
        module = sources.module(f"{name}.py")
        assert module is not None
        assert len(sources.reachable(module)) == len(names)
    assert looked_up.call_count == len(names) * (len(names) + 1)
