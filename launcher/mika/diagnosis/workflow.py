"""The one classification: what a description and a history say about a workflow."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mika.diagnosis import proto
from mika.diagnosis.closed import failed, timed_out
from mika.diagnosis.model import RETRY, Cause, Diagnosis, Surroundings, seconds
from mika.diagnosis.proto import Event
from mika.diagnosis.running import running


def classify(
    description: Any,
    events: Sequence[Any] = (),
    around: Surroundings | None = None,
    *,
    now: float | None = None,
    waited: float | None = None,
) -> Diagnosis:
    """Judge a DescribeWorkflowExecutionResponse and the HistoryEvents (in order; the newest ones may do).

    `now` is the server's time in seconds since the epoch. `waited` replaces what its clock says about how long the
    pending task has been as it is. `ID` in a fix is this workflow's own.
    """
    around = around or Surroundings()
    info = description.workflow_execution_info
    took = seconds(proto.at(info.close_time) - proto.at(info.start_time))
    match info.status:
        case proto.RUNNING:
            found = running(description, events, around, time.time() if now is None else now, waited)
        case proto.COMPLETED | proto.CONTINUED_AS_NEW:
            found = Diagnosis(Cause.HEALTHY, f"it was completed after {took}")
        case proto.FAILED:
            found = failed(events, around, info)
        case proto.TIMED_OUT:
            found = timed_out(description, events, around)
        case proto.CANCELED:
            found = Diagnosis(Cause.CANCELED, f"it was canceled after {took}", (), f"nothing to mend; again: {RETRY}")
        case _:
            found = _terminated(events, took)
    workflow_id = info.execution.workflow_id
    fix = re.sub(r"(`mika workflows \w+) ID`", lambda match: f"{match[1]} {workflow_id or 'ID'}`", found.fix)
    return replace(found, fix=fix)


def _terminated(events: Sequence[Any], took: str) -> Diagnosis:
    last = events[-1] if events else None
    who, why = "somebody", ""
    if last is not None and last.event_type == Event.EXECUTION_TERMINATED:
        attributes = last.workflow_execution_terminated_event_attributes
        who, why = attributes.identity or who, attributes.reason
    return Diagnosis(
        Cause.TERMINATED,
        f"it was terminated by {who} after {took}{f': {why}' if why else ''}",
        (),
        f"nothing to mend; again: {RETRY}",
    )
