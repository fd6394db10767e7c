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
    WorkerCommands,
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


def fix_of_failure(failure: Failure, worker: WorkerCommands) -> str:
    """What to do about an activity's failure, judged by its type and what it says."""
    root = proto.innermost(failure)
    kind = root.application_failure_info.type
    if sdks.is_activity_unknown(failure):
        return _(
            "let the worker register an activity of that name, {restart}: this run keeps the name that it asked for",
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
