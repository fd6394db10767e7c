"""What happens to an event: the workflow answers it, or else LangBot's pipeline, or an apology. One of them, never two.

When Temporal does not answer, nobody knows whether the workflow was started. So what the chat gets instead is marked in
the history store, as a reply would be: if the workflow runs after all, it finds the mark and sends nothing.
"""

from __future__ import annotations

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


async def take(
    service: MessageService, sender: Sender, settings: Settings, incoming: IncomingMessage, workflow_id: str
) -> Problem | None:
    """Start the workflow that answers an event. If it was not taken, the chat may get an apology.

    The problem, if somebody else must answer the event; None if the chat has a reply or will get one.
    """
    patient = replace(incoming, send_patience=settings.langbot_send_patience)
    try:
        await service.take(patient, workflow_id)
    except Problem as problem:
        if incoming.reply_to is not None and await _is_served(sender, settings, incoming.reply_to, workflow_id):
            return None
        return problem
    return None


async def _is_served(sender: Sender, settings: Settings, target: ReplyTarget, workflow_id: str) -> bool:
    """Whether the chat has, or perhaps has, a message for an event that was not taken."""
    try:
        if settings.langbot_on_failure == "apology":
            return await sender.apologize(target, workflow_id)
        # Only LangBot has a pipeline; where nobody else answers, the reply may come after all.
        return target.door == "langbot" and not await sender.leave(workflow_id)
    except HistoryError as error:
        log.warning("mark_not_stored", workflow_id=workflow_id, error=str(error))
        return False
