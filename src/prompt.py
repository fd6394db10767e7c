"""What the model is told beside the message: who it is, and as much of the conversation as fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from src.messages import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger("mika.worker")

DEFAULT = "You are Mika, a friendly chat bot. Answer briefly, in the language of the user."
_LONGEST = 100_000  # bytes
_OF_A_TURN = 8
"""Tokens for the roles of a message and its reply."""


class SystemPrompt:
    """A file, which is read again when it has changed. Without one, or with nothing in it, `DEFAULT`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: object = None
        self._text = DEFAULT

    def text(self) -> str:
        """Raises nothing: of a file that cannot be read, the last text that could be counts, and the log says so."""
        try:
            found = self._file.stat()
            seen: object = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError as error:
            seen = type(error).__name__
        if seen != self._seen:
            self._seen = seen
            self._read()
        return self._text

    def _read(self) -> None:
        try:
            with self._file.open("rb") as file:
                content = file.read(_LONGEST + 1)
            if len(content) > _LONGEST:
                raise ValueError(f"it is larger than {_LONGEST} bytes")  # noqa: TRY301 - one place logs
            self._text = content.decode("utf-8-sig").strip() or DEFAULT
        except FileNotFoundError:
            self._text = DEFAULT
        except (OSError, ValueError) as error:
            log.warning("prompt_not_read", file=str(self._file), error=str(error))


def tokens_of(text: str) -> int:
    """About how many tokens a model counts: one for four ASCII characters, and one for any other character.

    Every model has a tokenizer of its own. For Chinese and for English, this is rather too high than too low.
    """
    in_ascii = sum(map(str.isascii, text))
    return -(-in_ascii // 4) + len(text) - in_ascii


def newest_that_fit(history: Sequence[Turn], tokens: int) -> list[Turn]:
    """The last turns, oldest first, which are about `tokens` long together. Only a last turn that is longer is cut."""
    left, first = tokens, len(history)
    for turn in reversed(history):
        left -= tokens_of(turn.message) + tokens_of(turn.reply) + _OF_A_TURN
        if left < 0:
            break
        first -= 1
    room = (tokens - _OF_A_TURN) // 2  # characters, which are never fewer than tokens
    if history and first == len(history) and room > 0:
        return [Turn(history[-1].message[:room], history[-1].reply[:room])]
    return list(history[first:])
