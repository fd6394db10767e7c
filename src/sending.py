"""Sends a reply to a chat, each part at most once, even if the worker is killed meanwhile or the message runs again.

No chat knows an idempotency key. So each part is marked in the history store before it is sent, and whoever finds a
mark does not send: the next attempt, a later run of the same message, or the API that apologizes. The mark is removed
only if the part surely did not leave.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import structlog
from mika.diagnosis.wording import _

from src.chat_text import CANNED_REPLY, clean, split
from src.history.base import HistoryError, SendMark
from src.messages import Sent
from src.send_errors import MaybeSentError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from src.config import Settings
    from src.history.base import History
    from src.messages import Delivery, OutgoingReply, ReplyTarget

log = structlog.get_logger("mika.sending")

T = TypeVar("T")

LONGEST_SEND = 10.0
"""Seconds for one part. A chat that takes longer has probably got it."""
_OPEN_PATIENCE = 3.0
"""Seconds to wait for whoever has marked a part as open. It may be a worker that was slow, and is sending it now."""
_LEAST_FOR_APOLOGY = 2.0
"""Seconds in which a LangBot that works has answered. With less, an apology is not begun."""
_FOR_ITS_MARK = 0.5  # s, of those that an apology may take
_FIRST = 0
_MEANING: dict[SendMark, Sent] = {
    SendMark.OPEN: Sent("maybe_sent", "an attempt to send it was cut off, and is not repeated"),
    SendMark.SENT: Sent("sent"),
    SendMark.MAYBE_SENT: Sent("maybe_sent", "an earlier attempt got no clear answer, and is not repeated"),
    SendMark.APOLOGIZED: Sent("none", "the API did not know that this message was taken, and sent an apology instead"),
    SendMark.LEFT: Sent("none", "the API did not know that this message was taken, and left it to LangBot's pipeline"),
    SendMark.GIVEN_UP: Sent("refused", "it could not be sent in time"),
}
# For several parts, the first of these that any part has is said of the whole reply.
_WORST: tuple[Delivery, ...] = ("refused", "maybe_sent", "none", "sent")


async def send(settings: Settings, target: ReplyTarget, text: str, limit: float = LONGEST_SEND) -> None:
    """Send one message, once, in at most `limit` seconds. Raises `NotSentError`, `MaybeSentError`."""
    from src import langbot, onebot  # noqa: PLC0415 - httpx is only needed here

    door = onebot if target.door == "onebot" else langbot
    try:
        async with asyncio.timeout(limit):
            await door.send(settings, target, text)
    except TimeoutError:
        raise MaybeSentError(f"no answer within {limit:.3g} s") from None


class Sender:
    """Sends whole replies. Used by the worker, and by the API for its apology."""

    def __init__(self, settings: Settings, history: History) -> None:
        self._settings = settings
        self._history = history

    async def deliver(self, reply: OutgoingReply, limit: float) -> Sent:
        """Send what is not sent yet, in at most `limit` seconds.

        Raises `NotSentError` if something is still to be sent, and another call may do that; `HistoryError`.
        """
        parts = split(clean(reply.text), self._settings.langbot_max_chars)
        deadline = time.monotonic() + limit
        outcomes: list[Sent] = []
        has_sent = False
        for number, part in enumerate(parts):
            mark = await self._mark(reply.message_id, number)
            if mark is not None:
                outcome = _MEANING[mark]
            elif has_sent and time.monotonic() + LONGEST_SEND > deadline:
                await self._history.remove_mark(reply.message_id, number)
                raise NotSentError(f"{number} of {len(parts)} parts took {limit:.0f} s", retryable=True, retry_after=0)
            else:
                outcome, has_sent = await self._send(reply, number, part), True
            outcomes.append(_of_part(outcome, number, len(parts)))
            if outcome.delivery in {"refused", "none"}:
                break
        return _whole(outcomes)

    async def close(self, reply: OutgoingReply) -> Sent:
        """Send nothing more, also by an attempt that still runs somewhere. Raises `HistoryError`."""
        count = len(split(clean(reply.text), self._settings.langbot_max_chars))
        marks = [await self._history.mark_send(reply.message_id, number, SendMark.GIVEN_UP) for number in range(count)]
        outcomes = [_MEANING[mark or SendMark.GIVEN_UP] for mark in marks]
        return _whole([_of_part(outcome, number, count) for number, outcome in enumerate(outcomes)])

    async def earlier(self, message_id: str, limit: float) -> SendMark | None:
        """What became of a message that came before. Raises `HistoryError`, also after `limit` seconds."""
        return await _in_time(self._history.find_mark(message_id, _FIRST), limit)

    async def apologize(self, target: ReplyTarget, message_id: str, limit: float) -> bool:
        """Send the canned reply for a message of which nobody knows whether it was taken. Whether it may be there.

        Only one attempt, and none if `limit` seconds are too few. If the message was taken after all, its own reply is
        not sent. Raises `HistoryError`; nothing was sent then.
        """
        until = time.monotonic() + limit - _FOR_ITS_MARK
        if limit < _LEAST_FOR_APOLOGY + _FOR_ITS_MARK:
            return not await self.leave(message_id, limit)
        earlier = await _in_time(self._history.mark_send(message_id, _FIRST, SendMark.OPEN), limit)
        if earlier is not None:
            return earlier != SendMark.LEFT
        mark = SendMark.APOLOGIZED
        try:
            if (remaining := until - time.monotonic()) < _LEAST_FOR_APOLOGY:
                raise NotSentError("the history was slow, and no time is left", retryable=False)  # noqa: TRY301
            await send(self._settings, target, CANNED_REPLY, min(remaining, LONGEST_SEND))
        except NotSentError as error:
            mark = SendMark.LEFT
            log.warning("apology_not_sent", workflow_id=message_id, error=str(error))
        except MaybeSentError as error:
            log.warning("apology_maybe_sent", workflow_id=message_id, error=str(error))
        try:
            await _in_time(self._history.change_mark(message_id, _FIRST, mark), _FOR_ITS_MARK)
        except HistoryError as error:  # it stays open, so that nobody sends anything
            log.warning("mark_not_stored", workflow_id=message_id, error=str(error))
        return mark == SendMark.APOLOGIZED

    async def leave(self, message_id: str, limit: float) -> bool:
        """Send nothing for this message, because LangBot's pipeline will. False if something was already sent.

        Raises `HistoryError`, also if the store does not answer within `limit` seconds.
        """
        marked = await _in_time(self._history.mark_send(message_id, _FIRST, SendMark.LEFT), limit)
        return marked in {None, SendMark.LEFT}

    async def _mark(self, message_id: str, number: int) -> SendMark | None:
        """None if this caller may send the part now; otherwise its mark, after a while if that is open."""
        until = time.monotonic() + _OPEN_PATIENCE
        while True:
            mark = await self._history.mark_send(message_id, number, SendMark.OPEN)
            if mark != SendMark.OPEN or time.monotonic() >= until:
                return mark
            await asyncio.sleep(0.2)

    async def _send(self, reply: OutgoingReply, number: int, text: str) -> Sent:
        """Send a part that was just marked."""
        try:
            await send(self._settings, reply.target, text)
        except NotSentError as error:
            await self._history.remove_mark(reply.message_id, number)
            if error.retryable:
                raise
            return Sent("refused", str(error))
        except MaybeSentError as error:
            outcome, mark = Sent("maybe_sent", str(error)), SendMark.MAYBE_SENT
        else:
            outcome, mark = Sent("sent"), SendMark.SENT
        try:
            await self._history.change_mark(reply.message_id, number, mark)
        except HistoryError as error:  # it stays open, so that nobody sends it again
            log.warning("mark_not_stored", workflow_id=reply.message_id, error=str(error))
        return outcome


async def _in_time(work: Awaitable[T], limit: float) -> T:
    """Raises `HistoryError` if the store has not answered within `limit` seconds; it may do what was asked later."""
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError:
        raise HistoryError(_("the history did not answer within {seconds:.3g} s", seconds=limit)) from None


def _of_part(outcome: Sent, number: int, count: int) -> Sent:
    if count == 1 or not outcome.detail:
        return outcome
    return Sent(outcome.delivery, f"part {number + 1} of {count}: {outcome.detail}")


def _whole(outcomes: list[Sent]) -> Sent:
    """What is true of the reply as a whole: the worst of its parts."""
    return min(outcomes, key=lambda outcome: _WORST.index(outcome.delivery), default=Sent("none", "it is empty"))
