"""What every history store can do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from src.messages import Conversation, FinishedTurn, Turn

RETENTION_DAYS = 90
REMEMBERED_TURNS = 10
# Ten turns must stay far below Temporal's payload limit (2 MB) and inside a model's context.
REMEMBERED_CHARACTERS = 4000


class HistoryError(Exception):
    """The store cannot be used; the text says which store, why, and what may help.

    `code` is for programs: `unreachable`, `denied`, or `failed` for anything else.
    """

    def __init__(self, message: str, code: Literal["unreachable", "denied", "failed"] = "failed") -> None:
        super().__init__(message)
        self.code = code


class History(Protocol):
    """Turns of conversations. Every method may raise `HistoryError`."""

    @property
    def facts(self) -> dict[str, str]:
        """What the store is: `kind`, and where it is. No credentials."""
        ...

    async def recent(self, conversation: Conversation, *, before: str) -> list[Turn]:
        """The last turns, oldest first, without the one that workflow `before` may have stored already."""
        ...

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        """Store one turn under its workflow's id: doing it again changes nothing, a later run's reply replaces it."""
        ...

    async def ping(self) -> str:
        """Answers with what the store is, when it can be read."""
        ...

    async def close(self) -> None: ...


def conversation_key(conversation: Conversation) -> str:
    """A SHA-256 of user and group.

    It keeps account numbers out of dumps and backups. Whoever can guess a number can confirm it: a key would prevent
    that, and losing the key would lose every conversation.
    """
    return hashlib.sha256(f"{conversation.user_id}\0{conversation.group_id}".encode()).hexdigest()
