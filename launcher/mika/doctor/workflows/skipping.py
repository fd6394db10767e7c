"""Let the timers of one workflow fire now, and tell what that did."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import HANGING, Diagnosis
from mika.diagnosis.skipping import SETTING, Happened, Timer, arrival, clock, fast_forward, happened
from mika.doctor.examination import Examination
from mika.doctor.workflows.story import diagnose_again, find_running, status_of
from mika.doctor.workflows.talking import Say
from mika.errors import MikaError
from mika.frozen import frozen
from mika.text import duration_text
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution

_NEWEST = 1000  # events


@frozen
class Skipped:
    """`clock`: where the workflow's time stands, in seconds since the epoch; None once it has ended.

    `obstacle` is why its clock did not get there: it does once that is mended.
    """

    id: str
    run_id: str
    status: str
    clock: float | None
    happened: Happened
    obstacle: Diagnosis | None

    @property
    def next_timer(self) -> tuple[Timer, float] | None:
        """The next one, and the seconds until it fires."""
        if self.clock is None or not self.happened.pending:
            return None
        return self.happened.pending[0], self.happened.pending[0].due - self.clock

    def as_json(self) -> dict[str, object]:
        following = self.next_timer
        return {
            "version": 1,
            "workflow": {"id": self.id, "run_id": self.run_id, "status": self.status},
            "clock": None if self.clock is None else datetime.fromtimestamp(self.clock, UTC).isoformat(),
            "fired": [{"timer": timer.id, "lasts_s": timer.lasts} for timer in self.happened.fired],
            "activities": self.happened.activities,
            "next_timer_in_s": None if following is None else round(following[1], 1),
            "obstacle": None
            if self.obstacle is None
            else {"cause": str(self.obstacle.cause), "finding": self.obstacle.finding},
        }


async def skip(exam: Examination, wanted: str, seconds: float, limit: float, say: Say) -> Skipped:
    """Set the clock of one running workflow forward by `seconds`; wait for that as long as it gets on.

    Waits for `limit` seconds at most; `say` hears for what. Raises MikaError if it cannot be found or does not run, or
    if the server, or the SDK that mika uses, cannot do it.
    """
    info = await find_running(exam, wanted)
    temporal, execution, began = await exam.temporal(), info.execution, time.monotonic()
    skip_id = await _begin(exam, execution, seconds)
    obstacle: Diagnosis | None = None
    while (state := await arrival(temporal, execution.workflow_id, skip_id)) == "waiting":
        told = obstacle.cause if obstacle is not None else None
        obstacle = await diagnose_again(exam, execution.workflow_id)
        if obstacle.cause != told:
            say(_("{id} waits: {finding}", id=execution.workflow_id, finding=obstacle.finding))
        if obstacle.cause in HANGING or time.monotonic() - began > limit:
            break
    latest = await temporal.describe(execution.workflow_id)
    is_open = latest.workflow_execution_info.status == proto.RUNNING
    events = await temporal.newest_events(execution, _NEWEST)
    return Skipped(
        execution.workflow_id,
        latest.workflow_execution_info.execution.run_id,
        status_of(latest.workflow_execution_info),
        clock(latest, await exam.server_time()) if is_open else None,
        happened(events, after=info.history_length),
        obstacle if state == "waiting" else None,
    )


async def _begin(exam: Examination, execution: WorkflowExecution, seconds: float) -> str:
    from temporalio.service import RPCError, RPCStatusCode

    try:
        return await fast_forward(await exam.temporal(), execution, seconds)
    except ImportError:
        raise MikaError(
            _("mika's own Temporal SDK ({version}) has no time skipping", version=version("temporalio")),
            _("install `temporalio>=1.35` where mika is installed"),
            code="no_time_skipping",
        ) from None
    except RPCError as error:
        if error.status != RPCStatusCode.UNIMPLEMENTED:
            raise
        server = await exam.server()
        raise MikaError(
            _("Temporal {version} at {address} does not skip time", version=server.version, address=server.address),
            _(
                "it needs server 1.32 with the dynamic configuration value {setting} "
                "(`temporal server start-dev --dynamic-config-value {setting}`); `mika up` starts its own server"
                " with it",
                setting=SETTING,
            ),
            code="no_time_skipping",
        ) from None


def told(skipped: Skipped) -> list[str]:
    """As lines."""
    lines: list[str] = [
        _("fired: timer {timer} ({time})", timer=timer.id, time=duration_text(timer.lasts))
        for timer in skipped.happened.fired
    ]
    lines += [_("ran: activity {name}", name=name) for name in skipped.happened.activities]
    if skipped.clock is None:
        return [*lines, skipped.status]
    where = datetime.fromtimestamp(skipped.clock, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    following = skipped.next_timer
    if following is None:
        text = _("{status}; its clock says {time}, and no timer is set", status=skipped.status, time=where)
    else:
        text = _(
            "{status}; its clock says {time}, and timer {timer} fires in {duration}",
            status=skipped.status,
            time=where,
            timer=following[0].id,
            duration=duration_text(following[1]),
        )
    return [*lines, text]
