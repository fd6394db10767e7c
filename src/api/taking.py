"""What happens to an event: the workflow answers it, or else LangBot's pipeline, or an apology. One of them, never two.

When Temporal does not answer, nobody knows whether the workflow was started. So what the chat gets instead is marked in
the history store, as a reply would be: if the workflow runs after all, it finds the mark and sends nothing.

LangBot waits 15 s for the answer, and then its pipeline answers, whatever the bot does. So there is one deadline for
all of it, and each part gets what is left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from mika.diagnosis.wording import _

from src.history.base import HistoryError, SendMark
from src.intake.problems import Problem

if TYPE_CHECKING:
    from src.api.service import MessageService
    from src.config import Settings
    from src.messages import IncomingMessage, ReplyTarget
    from src.sending import Sender

log = structlog.get_logger("mika.api")

_LIMIT = 12.0
"""Seconds from the arrival of an event to its answer. The rest of LangBot's 15 s is for the way, and a busy machine."""
_RESERVE = 4.0
"""Seconds of them that are not waited for Temporal, but kept for the mark and an apology."""
_LEAST = 1.0
"""Seconds that each part has, even if it took long to receive the event. It is over after 10 s."""
_NOT_STARTED = {"busy", "no_worker"}
"""Problems after which there is surely no workflow: the same event may be taken when it comes again."""
_INSTEAD: dict[SendMark | None, str] = {
    SendMark.LEFT: _("It could not be taken when it came first, and was left to LangBot's pipeline."),
    SendMark.APOLOGIZED: _("It could not be taken when it came first, and the chat got an apology."),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """`problem`: why the bot did not take the event; None if its workflow answers it.

    `is_answered`: whether the chat has something of the bot's, or will get it, so that nobody else should answer.
    """

    problem: Problem | None = None
    is_answered: bool = True


async def take(
    service: MessageService,
    sender: Sender,
    settings: Settings,
    incoming: IncomingMessage,
    workflow_id: str,
    *,
    began: float,
) -> Taken:
    """Start the workflow that answers an event. If it was not taken, the chat may get an apology.

    `began`: the `time.monotonic` at which the event arrived.
    """
    until = began + _LIMIT
    earlier = await _earlier(sender, workflow_id)
    if earlier in _INSTEAD:
        return Taken(Problem("already_answered", _INSTEAD[earlier]), is_answered=earlier == SendMark.APOLOGIZED)
    patient = replace(incoming, send_patience=settings.langbot_send_patience)
    try:
        await service.take(patient, workflow_id, max(until - time.monotonic() - _RESERVE, _LEAST))
    except Problem as problem:
        if incoming.reply_to is None:
            return Taken(problem, is_answered=False)
        if problem.code in _NOT_STARTED and settings.langbot_on_failure == "pipeline":
            return Taken(problem, is_answered=earlier is not None)
        return Taken(problem, await _is_served(sender, settings, incoming.reply_to, workflow_id, until))
    return Taken()


async def _earlier(sender: Sender, workflow_id: str) -> SendMark | None:
    """None also if the store does not say: the workflow asks it, too, before it sends anything."""
    try:
        return await sender.earlier(workflow_id, _LEAST)
    except HistoryError:
        return None


async def _is_served(sender: Sender, settings: Settings, target: ReplyTarget, workflow_id: str, until: float) -> bool:
    """Whether the chat has, or perhaps has, a message for an event that was not taken."""
    limit = max(until - time.monotonic(), _LEAST)
    try:
        if settings.langbot_on_failure == "apology":
            return await sender.apologize(target, workflow_id, limit)
        # Only LangBot has a pipeline; where nobody else answers, the reply may come after all.
        return target.door == "langbot" and not await sender.leave(workflow_id, limit)
    except HistoryError as error:
        log.warning("mark_not_stored", workflow_id=workflow_id, error=str(error))
        return False
