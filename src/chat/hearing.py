"""From an event to a message for the workflow, or to the reason why it is not answered. The same for all doors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from mika.diagnosis.users import shorten
from mika.diagnosis.wording import _

from src.chat.accounts import Accounts
from src.chat.content import Content, short
from src.chat.events import read_event
from src.chat.images import keep, make_image_store, notes_on
from src.chat.rules import Heard, Rules
from src.chat.silence import MessageLog, Silence
from src.intake.problems import Problem
from src.intake.simple import check_text
from src.messages import IncomingMessage, ReplyTarget, workflow_id_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from src.config import Settings

log = structlog.get_logger("mika.api")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as its door understood it. `group` is empty in a private chat."""

    door: str
    bot: str
    """Which one, as the door calls it; empty if it does not say."""
    user: str
    group: str
    content: Content
    message_id: str
    """The same whenever this message is pushed; empty if that cannot be known."""
    ids: frozenset[str]
    """All ids by which somebody may look for it."""
    target: ReplyTarget | None
    own_accounts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Heeded:
    """A message that is to be answered."""

    incoming: IncomingMessage
    workflow_id: str
    arrival: Arrival
    heard: Heard


class Hearing:
    """Of one API process; what it remembers is in memory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = Rules(settings)
        self._accounts = Accounts(settings)
        self._images = make_image_store(settings)
        self.messages = MessageLog()

    async def langbot(self, decoded: dict[str, Any]) -> Heeded | Silence:
        """An event of LangBot. Raises `Problem` (`invalid_message`, `message_too_large`)."""
        event = read_event(decoded)
        if isinstance(event, Silence):
            log.info("message_not_answered", reason=event.code, door="langbot")
            self.messages.record({short(decoded.get("uuid"))}, set(), "langbot", silence=event)
            return event
        content = event.content
        own = frozenset(self._settings.bot_ids)
        is_for_somebody = event.is_group and (content.mentions or content.quoted_sender)
        if is_for_somebody or self._rules.may_answer(event.group, content.typed):
            own = await self._accounts.of(event.bot)
        kind = "group" if event.is_group else "person"
        return await self.hear(
            Arrival(
                door="langbot",
                bot=event.bot,
                user=event.user,
                group=event.group,
                content=content,
                message_id=event.message_id,
                ids=frozenset({event.uuid, event.platform_id}),
                target=ReplyTarget(event.bot, kind, event.group or event.user) if event.bot else None,
                own_accounts=own,
            )
        )

    async def hear(self, arrival: Arrival) -> Heeded | Silence:
        """Raises `Problem` (`message_too_large`)."""
        content, own = arrival.content, arrival.own_accounts
        if content.skipped:
            log.info("components_skipped", door=arrival.door, types=sorted(set(content.skipped))[:10])
        text = content.text(own)
        if not text and not own.isdisjoint(content.mentions):
            text = f"@{next(iter(self._settings.bot_names), 'bot')}"  # only called, without a word
        incoming = IncomingMessage(arrival.user, text, arrival.group, arrival.target)
        workflow_id = workflow_id_for(incoming, arrival.message_id)
        heard = Heard(
            key=workflow_id,
            bot=arrival.bot,
            user=arrival.user,
            group=arrival.group,
            typed=content.typed,
            same_as=str(hash((text, *content.pictures))),
            mentions=frozenset(content.mentions),
            quoted_sender=content.quoted_sender,
            own_accounts=own,
        )
        silence = _nothing_said(content) if not text else self._rules.silence(heard)
        if silence is not None:
            self._record(arrival, silence=silence)
            log.info(
                "message_not_answered",
                reason=silence.code,
                door=arrival.door,
                user_id=shorten(arrival.user),
                message_type=incoming.message_type,
            )
            return silence
        heeded = Heeded(incoming, workflow_id, arrival, heard)
        try:
            check_text(text)
        except Problem as problem:
            self.settle(heeded, problem)
            raise
        references, refused = await keep(content.pictures, self._images)
        content.pictures.clear()  # megabytes, which would stay until the reply is there
        incoming = IncomingMessage(arrival.user, text + notes_on(refused), arrival.group, arrival.target, references)
        return Heeded(incoming, workflow_id, arrival, heard)

    @contextlib.contextmanager
    def settled_after(self, heeded: Heeded) -> Iterator[None]:
        try:
            yield
        except Problem as problem:
            self.settle(heeded, problem)
            raise
        self.settle(heeded, None)

    def settle(self, heeded: Heeded, problem: Problem | None) -> None:
        """Remember what became of the message: it was taken, or a problem came in between."""
        if problem is None:
            self._record(heeded.arrival, workflow_id=heeded.workflow_id)
            return
        self._rules.withdraw(heeded.heard, was_taken=problem.workflow_id is not None)
        if problem.workflow_id:
            self._record(heeded.arrival, workflow_id=problem.workflow_id)
        else:
            fix = _("`mika doctor` says what is wrong; then say it again")
            self._record(heeded.arrival, silence=Silence(problem.code, problem.detail, fix))

    def _record(self, arrival: Arrival, *, workflow_id: str | None = None, silence: Silence | None = None) -> None:
        content = arrival.content
        texts = {content.typed, content.text(), content.text(arrival.own_accounts)}
        self.messages.record(set(arrival.ids), texts, arrival.door, workflow_id=workflow_id, silence=silence)


def _nothing_said(content: Content) -> Silence:
    if content.skipped:
        types = ", ".join(sorted(set(content.skipped))[:3])
        unknown = _("it has only parts that the bot does not know ({types})", types=types)
        return Silence("nothing_readable", unknown, _("write some text"))
    return Silence("empty", _("it has neither text nor an image"), _("write some text"))
