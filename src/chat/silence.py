"""Why the bot did not answer: said once in the log, and remembered for `GET /silent`."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_REMEMBERED = 1000
"""Messages. An entry takes about a kilobyte."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Silence:
    """A message that is not answered. `code` is for programs; docs/http-api.md lists them."""

    code: str
    detail: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Entry:
    at: float
    ids: frozenset[str]
    texts: frozenset[bytes]
    door: str
    workflow_id: str | None
    silence: Silence | None


class MessageLog:
    """The latest messages that came through the webhook doors. Texts are kept as hashes, with a key of this process."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=_REMEMBERED)
        self._key = secrets.token_bytes(32)
        self.since = time.time()

    def record(
        self,
        ids: set[str],
        texts: set[str],
        door: str,
        *,
        workflow_id: str | None = None,
        silence: Silence | None = None,
    ) -> None:
        """`workflow_id` if the message was taken, otherwise `silence`."""
        hashes = frozenset(self.hash(text) for text in texts if text.strip())
        known = frozenset(ids - {""}) | ({workflow_id} if workflow_id else set())
        self._entries.append(_Entry(time.time(), known, hashes, door, workflow_id, silence))

    def find(self, message_id: str, text: str) -> list[dict[str, Any]]:
        """The latest entries, newest first, as they are answered."""
        wanted = self.hash(text) if text.strip() else b""
        found = []
        for entry in reversed(self._entries):
            if (message_id and message_id in entry.ids) or (wanted and wanted in entry.texts):
                found.append(_shown(entry))
                if len(found) == _SHOWN:
                    break
        return found

    def __len__(self) -> int:
        return len(self._entries)

    def hash(self, text: str) -> bytes:
        """The same for texts that differ only in spaces or in the case of letters."""
        folded = " ".join(text.split()).casefold()
        return hashlib.blake2b(folded.encode("utf-8", "replace"), key=self._key, digest_size=16).digest()


def _shown(entry: _Entry) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        "door": entry.door,
        "taken": entry.workflow_id is not None,
        "workflow_id": entry.workflow_id,
    }
    if entry.silence is not None:
        answer |= {"reason": entry.silence.code, "detail": entry.silence.detail, "fix": entry.silence.fix}
    return answer
