"""Write histories to files, as `temporal workflow show --output json` does; `mika check --histories` reads them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import Effect, Step
from mika.errors import MikaError, UsageError
from mika.machine.local import in_thread
from mika.project.folder import write_private
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

_LONGEST = 100  # characters
# What Windows does not take in a name, nor as a name: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]|[. ]$|^\.')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def plan(exam: Examination, infos: Sequence[WorkflowExecutionInfo], folder: Path) -> list[Step]:
    """One file for each run, for this user only: it has what the workflow was given and what it answered.

    Raises UsageError if the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder}: {error.strerror or error}") from None
    runs = Counter(file_name(info.execution.workflow_id).casefold() for info in infos)

    def step(info: WorkflowExecutionInfo) -> Step:
        name = file_name(info.execution.workflow_id)
        path = folder / f"{name}{'.' + info.execution.run_id if runs[name.casefold()] > 1 else ''}.json"

        async def act() -> Effect:
            from temporalio.client import WorkflowHistory

            events = await (await exam.temporal()).history(info.execution)
            text = WorkflowHistory(info.execution.workflow_id, events).to_json()
            try:
                await in_thread(lambda: write_private(path, text))
            except OSError as error:
                raise MikaError(f"{path}: {error.strerror or error}") from None
            return Effect(
                _("{file} ({count} events)", file=path, count=len(events)), {"file": str(path), "events": len(events)}
            )

        return Step(info=info, does=_("export to {file}", file=path), act=act)

    return [step(info) for info in infos]


def file_name(workflow_id: str) -> str:
    """The id itself where every system takes it as a name; else one that is like it, and as unique."""
    name = _FORBIDDEN.sub("_", workflow_id)[:_LONGEST]
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    return name if name == workflow_id else f"{name}-{hashlib.sha256(workflow_id.encode()).hexdigest()[:8]}"
