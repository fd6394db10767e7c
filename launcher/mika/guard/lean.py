"""What stands in for `contextlib.suppress` and `json` in a guard: their imports are a third of its start-up time."""

from __future__ import annotations

import marshal

TYPE_CHECKING = False  # importing `typing` is too expensive here: see child.py
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class suppress:  # noqa: N801 - as in contextlib
    """Ignore these exceptions."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


def encode(message: dict[str, Any]) -> bytes:
    """One line: hexadecimal digits of what `marshal` makes of it, because both ends run the same Python."""
    return marshal.dumps(message).hex().encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    message: dict[str, Any] = marshal.loads(bytes.fromhex(line.decode()))  # noqa: S302 - from our own parent or child
    return message
