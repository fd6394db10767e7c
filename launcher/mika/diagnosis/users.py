"""How a user of the bot is shown where other people may read it: in its log, and in `mika workflows`."""

from __future__ import annotations

_SHOWN = 8


def shorten(user_id: str) -> str:
    """The part of a user's id that may be shown: the first 8 characters, and of one that has no more, half."""
    return f"{user_id[: _SHOWN if len(user_id) > _SHOWN else len(user_id) // 2]}..."
