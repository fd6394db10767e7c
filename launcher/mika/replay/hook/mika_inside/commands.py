"""Which line of the project's code asked for each step of a workflow, noted while it is replayed."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .importing import when_imported
from .locating import is_own, step_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVENTS = {
    "schedule_activity": ("activity_task_scheduled", "activity"),
    "start_timer": ("timer_started", "timer"),
    "start_child_workflow_execution": ("start_child_workflow_execution_initiated", "child workflow"),
    "signal_external_workflow_execution": ("signal_external_workflow_execution_initiated", "signal"),
    "schedule_nexus_operation": ("nexus_operation_scheduled", "Nexus operation"),
    "complete_workflow_execution": ("workflow_execution_completed", "end of the workflow"),
    "fail_workflow_execution": ("workflow_execution_failed", "failure of the workflow"),
    "continue_as_new_workflow_execution": ("workflow_execution_continued_as_new", "continue-as-new"),
}
"""For each command of the SDK's core, the event that the server makes of it, and what it is called here."""

_lock = threading.Lock()
_noted: dict[str, list[tuple[Any, list[object] | None]]] = {}
"""By run id: several workers of one program replay at the same time."""


@dataclass
class Asked:
    """What the code asked for in place of what the history has; `step` is None if it asked for nothing more.

    `name`: that of the activity or of the child workflow.
    """

    event: Any
    step: str | None
    name: str | None
    where: list[object] | None


def install() -> None:
    when_imported("temporalio.worker._workflow_instance", _note_commands)


def begin(run_id: str, last: str) -> None:
    """A replay of this run begins, after the worker's `last` one."""
    with _lock:
        _noted.pop(last, None)
        _noted[run_id] = []


def first_difference(run_id: str, events: Sequence[Any]) -> Asked | None:
    """The first step in which the replayed code and its history differ, if the steps' kinds and names show it."""
    happened = [event for event in events if _kind_of(event) in _KINDS]
    with _lock:
        noted = _noted.get(run_id)
        asked = [(command, where) for command, where in noted or () if command.WhichOneof("variant") in _EVENTS]
    if noted is None:  # another worker of the same queue has replayed it meanwhile
        return None
    for number, event in enumerate(happened):
        if number >= len(asked):
            return Asked(event, None, None, None)
        command, where = asked[number]
        variant = command.WhichOneof("variant")
        kind, step = _EVENTS[variant]
        name = _command_name(command, variant)
        if (kind, name) != (_kind_of(event), step_name(event)):
            return Asked(event, step, name, where)
    return None


_KINDS = {kind for kind, _step in _EVENTS.values()}


def _kind_of(event: Any) -> str:
    return str(event.WhichOneof("attributes")).removesuffix("_event_attributes")


def _command_name(command: Any, variant: str) -> str | None:
    attributes = getattr(command, variant)
    if variant not in ("schedule_activity", "start_child_workflow_execution"):
        return None
    return str(attributes.activity_type if variant == "schedule_activity" else attributes.workflow_type)


def _note_commands(module: Any) -> None:
    """Without the private names (another version of the SDK) there are no lines; all else works."""
    instance = getattr(module, "_WorkflowInstanceImpl", None)
    plain = getattr(instance, "_add_command", None)
    if plain is None:
        return

    def add_command(self: Any) -> Any:
        command = plain(self)
        where = None
        frame = sys._getframe(1)
        while frame is not None and where is None:
            if is_own(frame.f_code.co_filename):
                where = [frame.f_code.co_filename, frame.f_lineno]
            frame = frame.f_back  # type: ignore[assignment]
        run_id = getattr(getattr(self, "_info", None), "run_id", "")
        with _lock:
            _noted.get(run_id, []).append((command, where))
        return command

    module._WorkflowInstanceImpl._add_command = add_command
