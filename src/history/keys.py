"""Under which names the store keeps users and conversations: HMACs, which say nothing without the key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from typing import TYPE_CHECKING

from mika.diagnosis.wording import _

from src.history.base import HistoryError

if TYPE_CHECKING:
    from pathlib import Path

    from src.messages import Conversation

_BYTES = 32


class Names:
    """Made with one key. Account numbers are short, so without a key anybody could try them all."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def user(self, user_id: str) -> str:
        return self._name("user", user_id)

    def conversation(self, conversation: Conversation) -> str:
        return self._name("conversation", conversation.user_id, conversation.group_id)

    def of_key(self) -> str:
        """Tells two keys apart."""
        return self._name("key")

    def _name(self, *parts: str) -> str:
        return hmac.digest(self._key, "\0".join(parts).encode(), "sha256").hex()


def earlier_name(conversation: Conversation) -> str:
    """The SHA-256 that the store had before it had a key. What is found by it is renamed."""
    return hashlib.sha256(f"{conversation.user_id}\0{conversation.group_id}".encode()).hexdigest()


class KeyFile:
    """The key: the one that is given, or that in `path`, which is made at the first use."""

    def __init__(self, path: Path, given: str | None = None) -> None:
        self._path = path
        self._given = given
        self._names: Names | None = None

    def names(self) -> Names:
        """Raises `HistoryError`."""
        if self._names is None:
            key = self._given.encode() if self._given is not None else self._read_or_make()
            self._names = Names(key)
        return self._names

    def _read_or_make(self) -> bytes:
        try:
            if not self._path.exists():
                self._make()
            key = bytes.fromhex(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            text = _("the key of the history, {file}, cannot be used: {error}", file=self._path, error=error)
            raise HistoryError(text) from None
        if len(key) < _BYTES:
            raise HistoryError(
                _(
                    "the key of the history, {file}, is damaged: put a copy of it there,"
                    " or delete it (then earlier conversations are not found any more)",
                    file=self._path,
                )
            )
        return key

    def _make(self) -> None:
        """API and worker may do this at the same time: the first one wins, and nobody sees half of it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex[:8]}")
        file = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(file, "w", encoding="ascii") as out:
                out.write(secrets.token_hex(_BYTES) + "\n")
            try:
                os.link(new, self._path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
