"""The interface of all history stores."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from src.messages import Conversation, FinishedTurn, Turn

RETENTION_DAYS = 90
REMEMBERED_TURNS = 10
# Ten turns must stay far below Temporal's payload limit (2 MB), and fit into a model's context.
REMEMBERED_CHARACTERS = 4000


class HistoryError(Exception):
    """The store cannot be used. The text says which store, why, and what may help.

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
        """The latest turns, oldest first, except the one that workflow `before` may already have stored."""
        ...

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        """Store a turn under its workflow's id. Storing it again changes nothing; a later run's reply replaces it."""
        ...

    async def ping(self) -> str:
        """Check that the store can be read. Returns what the store is, for people."""
        ...

    async def close(self) -> None: ...


def conversation_key(conversation: Conversation) -> str:
    """The SHA-256 of user and group.

    It keeps account numbers out of dumps and backups. Anybody who guesses a number can still confirm it. A secret key
    would prevent that, but losing the key would mean losing every conversation.
    """
    return hashlib.sha256(f"{conversation.user_id}\0{conversation.group_id}".encode()).hexdigest()
