"""What happens to an event: the workflow answers it, or else LangBot's pipeline, or an apology. One of them, never two.

When Temporal does not answer, nobody knows whether the workflow was started. So what the chat gets instead is marked in
the history store, as a reply would be: if the workflow runs after all, it finds the mark and sends nothing.

LangBot waits 15 s for the answer, and then its pipeline answers, whatever the bot does. So there is one deadline for
all of it, and each part gets what is left.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from src.history.base import HistoryError
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


async def take(
    service: MessageService,
    sender: Sender,
    settings: Settings,
    incoming: IncomingMessage,
    workflow_id: str,
    *,
    began: float,
) -> Problem | None:
    """Start the workflow that answers an event. If it was not taken, the chat may get an apology.

    `began`: the `time.monotonic` at which the event arrived. The problem, if somebody else must answer the event; None
    if the chat has a reply or will get one.
    """
    until = began + _LIMIT
    patient = replace(incoming, send_patience=settings.langbot_send_patience)
    try:
        await service.take(patient, workflow_id, max(until - time.monotonic() - _RESERVE, _LEAST))
    except Problem as problem:
        if incoming.reply_to is not None and await _is_served(sender, settings, incoming.reply_to, workflow_id, until):
            return None
        return problem
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
