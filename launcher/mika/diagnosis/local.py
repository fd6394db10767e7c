"""A local activity runs within a workflow task. The worker prolongs that: it answers, and takes the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import Cause, Diagnosis, seconds
from mika.diagnosis.proto import EventType
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent

_AT_ONCE = 0.05
"""Seconds: the server gives the next task in its answer. One that an update asks for comes later."""
_MARKERS = frozenset({"core_local_activity", "LocalActivity"})  # the second: Go and Java


def runs_since(events: Sequence[HistoryEvent]) -> float | None:
    """When the first of the tasks was taken that a local activity has prolonged until now; None without one."""
    since, last = None, len(events) - 1
    while last >= 3 and _prolongs(events, last - 2) and events[last].event_type == EventType.TASK_STARTED:
        last -= 3
        since = proto.at(events[last].event_time)
    return since


def ended_in(events: Sequence[HistoryEvent], answer: int) -> bool:
    """Whether a local activity ran, or ended, in the task that the event at this index has answered."""
    following = events[answer + 1] if answer + 1 < len(events) else None
    if following is not None and following.event_type == EventType.MARKER_RECORDED:
        return following.marker_recorded_event_attributes.marker_name in _MARKERS
    return _prolongs(events, answer)


def _prolongs(events: Sequence[HistoryEvent], answer: int) -> bool:
    """Whether the answer at this index asks for the next task, and for nothing else."""
    if answer + 1 >= len(events) or events[answer].event_type != EventType.TASK_COMPLETED:
        return False
    following = events[answer + 1]
    waited = proto.at(following.event_time) - proto.at(events[answer].event_time)
    return following.event_type == EventType.TASK_SCHEDULED and waited < _AT_ONCE


def in_local_activity(worker: str, lasts: float) -> Diagnosis:
    """For a worker that has prolonged a task for as many seconds."""
    return Diagnosis(
        Cause.RUNNING,
        _("a local activity has been running for {time} in worker {worker}", time=seconds(lasts), worker=worker),
        (_("its worker answers the workflow task in time, and asks for another one"),),
    )


def perhaps_in_local_activity(worker: str, lasts: float, limit: float, *, is_seen: bool) -> Diagnosis:
    """For a worker that has a task for `lasts` seconds, of `limit` until the server gives it out again.

    `is_seen`: its process is one of this machine.
    """
    why = _("a local activity runs in it, or its event loop is blocked")
    if not is_seen:
        why = _("a local activity runs in it, its event loop is blocked, or it was killed")
    return Diagnosis(
        Cause.RUNNING,
        _(
            "worker {worker} took its workflow task {time} ago and has not answered yet: {why}",
            worker=worker,
            time=seconds(lasts),
            why=why,
        ),
        (_("the server waits {limit} for an answer (workflow task timeout)", limit=seconds(limit)),),
    )
