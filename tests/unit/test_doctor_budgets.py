"""The doctor's check of limits that contradict each other. It needs no stack."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mika.config import load as config
from mika.doctor.check import Check
from mika.doctor.checks import workflows
from mika.doctor.examination import Examination
from mika.errors import UsageError
from mika.project.folder import ProjectDir


def timeouts(folder: Path, **environ: str) -> Check:
    settings = config.load(folder, environ={"MIKA_BACKEND": "none", **environ})

    async def check() -> Check:
        async with Examination(settings, ProjectDir(settings.project)) as exam:
            return await workflows.timeouts(exam)

    return asyncio.run(check())


@pytest.mark.parametrize(
    ("run", "task", "status", "fix"),
    [
        ("60", "30", "ok", ""),
        ("60", "59", "ok", ""),
        ("60", "60", "warn", "WORKFLOW_TASK_TIMEOUT=10 "),
        ("60", "120", "warn", "WORKFLOW_TASK_TIMEOUT=10 "),
        ("8", "30", "warn", "WORKFLOW_TASK_TIMEOUT=4 "),
    ],
)
def test_a_workflow_task_must_leave_something_of_the_run(
    tmp_path: Path, run: str, task: str, status: str, fix: str
) -> None:
    found = timeouts(tmp_path, WORKFLOW_RUN_TIMEOUT=run, WORKFLOW_TASK_TIMEOUT=task)
    assert found.status == status, found
    assert fix in found.fix


def test_a_run_is_a_part_of_its_execution(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longer than WORKFLOW_EXECUTION_TIMEOUT"):
        timeouts(tmp_path, WORKFLOW_RUN_TIMEOUT="121")
