"""The activities that open runs wait for, and that a worker does not have."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .report import remaining
from .workers import active_config, activity_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .histories import Run

_EXAMPLES = 3
_OF_AN_END = {
    f"activity_task_{how}_event_attributes"
    for how in ("completed", "failed", "timed_out", "canceled", "cancel_requested")
}
_UNREGISTERED = "NotFoundError"
"""The type of the failure with which the SDK answers a task of an activity that its worker does not have."""


async def missing(worker: Any, runs: Iterable[Run]) -> list[list[Any]]:
    """[task queue, type, number of runs, the id of one] for each. Another worker of the program may have it.

    Not those that the code which runs now does not have either.
    """
    waiting = defaultdict[tuple[str, str], list["Run"]](list)
    for run in runs:
        for key in pending(run.events):
            waiting[key].append(run)
    own = {(active_config(worker)["task_queue"], name) for name in activity_names(worker)}
    return [
        [queue, name, len(found), found[0].id]
        for (queue, name), found in waiting.items()
        if (queue, name) not in own and not await _was_missing(worker.client, name, found[:_EXAMPLES])
    ]


def pending(events: Sequence[Any]) -> set[tuple[str, str]]:
    """(task queue, type) of each activity that has been scheduled, and has neither ended nor been cancelled."""
    scheduled = {}
    for event in events:
        kind = event.WhichOneof("attributes")
        attributes = getattr(event, kind)
        if kind == "activity_task_scheduled_event_attributes":
            scheduled[event.event_id] = (attributes.task_queue.name, attributes.activity_type.name)
        elif kind in _OF_AN_END:
            scheduled.pop(attributes.scheduled_event_id, None)
    return set(scheduled.values())


async def _was_missing(client: Any, name: str, runs: Sequence[Run]) -> bool:
    """Whether the last attempt of each failed for that, or is not known. A history does not show such attempts."""
    for run in runs:
        for activity in await _activities(client, run):
            failure = activity.last_failure.application_failure_info.type
            if activity.activity_type.name == name and failure != _UNREGISTERED:
                return False
    return True


async def _activities(client: Any, run: Run) -> Sequence[Any]:
    """Those that are pending now; none if they cannot be had, for example because the run was deleted meanwhile."""
    describe = client.get_workflow_handle(run.id, run_id=run.run_id).describe()
    try:
        # Not asyncio.timeout(): the program may run on Python 3.10.
        description = await asyncio.wait_for(describe, remaining())  # noqa: TID251
    except Exception:  # noqa: BLE001
        return ()
    return list(description.raw_description.pending_activities)
