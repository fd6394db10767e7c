"""The interface of all history stores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from mika.diagnosis.wording import _

if TYPE_CHECKING:
    from src.messages import Conversation, FinishedTurn, Turn

REMEMBERED_TURNS = 10
# Ten turns must stay far below Temporal's payload limit (2 MB), and fit into a model's context.
REMEMBERED_CHARACTERS = 4000


class HistoryError(Exception):
    """The store cannot be used. The text says which store, why, and what may help.

    `code` is for programs: `unreachable`, `denied`, or `failed` for anything else.
    """

    def __init__(self, message: str, code: Literal["unreachable", "denied", "failed"] = "failed") -> None:
        super().__init__(message)
        self.text, self.code = message, code


class SendMark(StrEnum):
    """What is known of one part of a reply. A part without a mark was surely not sent."""

    OPEN = "open"
    """It was about to be sent, and nobody came back to say how that went."""
    SENT = "sent"
    MAYBE_SENT = "maybe_sent"
    APOLOGIZED = "apologized"
    """The API could not see that the message was taken, and sent an apology."""
    LEFT = "left"
    """The API could not see that the message was taken, and left it to LangBot's own pipeline."""
    GIVEN_UP = "given_up"
    """It was not sent, and must not be sent any more."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it is shown to who asks for it. The store does not know the group, only whether there is one."""

    message: str
    reply: str
    created_at: float
    is_private: bool


OTHER_KEY = _(
    "the history was written with another key, so this one finds nothing: set HISTORY_KEY to that of the worker, or put"
    " its history.key beside the history"
)


class History(Protocol):
    """Turns of conversations, and marks of what was sent. Every method may raise `HistoryError`."""

    @property
    def facts(self) -> dict[str, str]:
        """What the store is: `kind`, and where it is. No credentials."""
        ...

    async def recent(self, conversation: Conversation, *, before: str) -> list[Turn]:
        """The latest turns, oldest first, except the one that workflow `before` may already have stored."""
        ...

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        """Store a turn under its workflow's id. Storing it again changes nothing; a later run's reply replaces it."""
        ...

    async def of_user(self, user_id: str, group_id: str | None) -> list[StoredTurn]:
        """All that is kept of a user, oldest first; of one group only, or with an empty `group_id` only private."""
        ...

    async def forget(self, user_id: str, group_id: str | None) -> int:
        """Delete that. Returns how many turns it was."""
        ...

    async def mark_send(self, workflow_id: str, part: int, mark: SendMark) -> SendMark | None:
        """Mark a part that has no mark yet; None if that was done. Otherwise the mark that it already has.

        Of many callers at once, in any process, exactly one gets None.
        """
        ...

    async def find_mark(self, workflow_id: str, part: int) -> SendMark | None:
        """The mark of a part."""
        ...

    async def change_mark(self, workflow_id: str, part: int, mark: SendMark) -> None:
        """Replace the mark of a part that this caller marked."""
        ...

    async def remove_mark(self, workflow_id: str, part: int) -> None:
        """For a part that this caller marked, and that was surely not sent."""
        ...

    async def ping(self) -> str:
        """Check that the store can be read. Returns what the store is, for people."""
        ...

    async def close(self) -> None: ...
