"""How a reply can fail to be sent; raised by each way into a chat, and handled in `src/sending.py`."""

from __future__ import annotations


class NotSentError(Exception):
    """It was surely not delivered. `retry_after` is in seconds; None if the chat gave no time."""

    def __init__(self, text: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retryable = retryable
        self.retry_after = retry_after


class UnreachableError(NotSentError):
    """Nobody listens at the address that the settings name."""

    def __init__(self, text: str) -> None:
        super().__init__(text, retryable=True)


class MaybeSentError(Exception):
    """It was perhaps delivered, so it must not be sent again."""
