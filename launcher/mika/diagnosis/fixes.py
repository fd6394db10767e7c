"""What to do about a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mika.diagnosis import proto, sdks
from mika.diagnosis.model import (
    HISTORY_ERROR,
    LANGBOT_DOWN,
    LLM_ERROR,
    LLM_TIMEOUT,
    NOT_SENT,
    ONEBOT_DOWN,
    Surroundings,
    WorkerCommands,
    seconds,
)
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure


def times(count: int) -> str:
    return _("once") if count == 1 else _("{count} times", count=count)


_NOT_SENT_FIXES = {
    LANGBOT_DOWN: _("start LangBot, or correct LANGBOT_API_BASE_URL"),
    ONEBOT_DOWN: _("start NapCat or Lagrange, or correct ONEBOT_API_URL"),
    NOT_SENT: _("wait: the reply is sent when the chat takes messages again"),
}


def is_hung(identity: str, surroundings: Surroundings) -> bool:
    """Whether a worker cannot send heartbeats. One that is gone by now may have been there then."""
    return surroundings.state_of(identity) in ("stopped", "hung")


def no_heartbeat(step: str, taken: int, limit: float) -> str:
    """The finding, for an activity whose worker may be healthy; `limit`: its heartbeat timeout, 0 for unknown."""
    if not limit:
        return _("{step} was taken {times}, and no heartbeat came in time", step=step, times=times(taken))
    return _(
        "{step} was taken {times}, and no heartbeat came within {limit}",
        step=step,
        times=times(taken),
        limit=seconds(limit),
    )


def more_heartbeats(worker: WorkerCommands) -> str:
    """The fix for that."""
    return _(
        "unless its worker was killed: call activity.heartbeat() in the activity more often, or raise its"
        " heartbeat_timeout, {restart}",
        restart=worker.then_restart(),
    )


def pass_a_reference(worker: WorkerCommands) -> str:
    """The fix for an input or a result that is too large."""
    return _(
        "one payload (an input or a result) may have 2 MB: store what is larger elsewhere (a file, a database, an"
        " object store) and pass a reference to it, {restart}",
        restart=worker.then_restart(),
    )


def fix_of_refused_call(error: str) -> str:
    """What to do about a call that the server refuses; empty where nothing is known."""
    if not sdks.is_call_too_large(error):
        return ""
    return _("one payload may have 2 MB: store what is larger elsewhere, and pass a reference to it")


def fix_of_failure(failure: Failure, worker: WorkerCommands) -> str:
    """What to do about an activity's failure, judged by its type and what it says."""
    root = proto.innermost(failure)
    kind = root.application_failure_info.type
    if sdks.is_activity_unknown(failure) and worker.processes:
        return worker.apart_or_alike(_("an activity of that name"), "")
    if sdks.is_activity_unknown(failure):
        return _(
            "let the worker register an activity of that name, {restart}: this run keeps the name that it asked for",
            restart=worker.then_restart(),
        )
    if sdks.is_too_large(failure):
        return pass_a_reference(worker)
    if proto.timeout_type(failure) == proto.HEARTBEAT:
        return more_heartbeats(worker)
    if proto.timeout_type(failure) == proto.START_TO_CLOSE:
        return _(
            "raise its start-to-close timeout in the workflow's code, {restart}: an activity that is pending keeps the"
            " one that it has",
            restart=worker.then_restart(),
        )
    if is_own_time_out(failure):
        return _("raise WORKFLOW_RUN_TIMEOUT (each step gets a part of it), or use a faster model")
    if kind == LLM_ERROR:
        return _("`mika doctor --llm` tests the model")
    if kind == HISTORY_ERROR:
        return _("`mika doctor` checks the store of conversations")
    if kind in _NOT_SENT_FIXES:
        return _NOT_SENT_FIXES[kind]
    if worker.logs:
        return _(
            "fix what the error names (`{logs}` has more), {restart}", logs=worker.logs, restart=worker.then_restart()
        )
    return _("fix what the error names, {restart}", restart=worker.then_restart())


def is_own_time_out(failure: Failure) -> bool:
    """The activity ended itself shortly before its timeout would have, to be able to say what it waited for."""
    root = proto.innermost(failure)
    return bool(root.application_failure_info.type == LLM_TIMEOUT)
