"""What a workflow's modules import inside the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.detect.files import Files
from mika.detect.sandbox import imports_in_sandbox
from mika.detect.sources import Sources

FLOW = """
import asyncio, numpy.linalg
import pydantic
from dataclasses import dataclass
from typing import TYPE_CHECKING
from temporalio import workflow
from bot.acts import work
from . import tools
from deep import inner
with workflow.unsafe.imports_passed_through():
    import pandas
    import hidden
if TYPE_CHECKING:
    import scipy
try:
    import orjson
except ImportError:
    orjson = None

@workflow.defn(name="Job")
class Work:
    def later(self):
        import torch

@workflow.defn
class Other: ...
"""
FILES = {
    "bot/flows.py": FLOW,
    "bot/acts.py": "from openai import OpenAI\nfrom . import tools\n",
    "bot/tools.py": "import json\n",
    "deep/inner.py": "import networkx\n",
    "hidden.py": "import tensorflow\n",
    "web.py": "import fastapi\n",
    "broken.py": "workflow (\n",
}


def found(folder: Path, workflow_type: str, **more: str) -> list[tuple[str, str]]:
    for name, text in {**FILES, **{f"{name}.py": text for name, text in more.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return [(one.path, one.package) for one in imports_in_sandbox(Sources(Files(folder), {}), workflow_type)]


@pytest.mark.parametrize("workflow_type", ["Job", "Other"])
def test_what_is_imported_again_for_each_workflow(tmp_path, workflow_type):
    assert found(tmp_path, workflow_type) == [
        ("bot/flows.py", "numpy"),
        ("bot/flows.py", "orjson"),
        ("bot/acts.py", "openai"),
        ("deep/inner.py", "networkx"),
    ]


def test_a_workflow_that_is_not_here(tmp_path):
    assert found(tmp_path, "Work") == []


@pytest.mark.parametrize(
    "worker",
    [
        "Worker(client, workflow_runner=UnsandboxedWorkflowRunner())",
        "@workflow.defn(sandboxed = False)\nclass A: ...",
        "SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules('numpy'))",
    ],
)
def test_where_the_project_changes_the_sandbox_nothing_is_said(tmp_path, worker):
    assert found(tmp_path, "Job", worker=worker) == []
