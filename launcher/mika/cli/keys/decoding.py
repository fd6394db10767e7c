"""What a terminal sends for a key, as keys."""

from __future__ import annotations

import re

ENTER, ESCAPE, BACKSPACE, CLEAR = "enter", "escape", "backspace", "clear"
PASTED = "pasted "
"""Begins what was pasted, as one key: none of it was meant for a command."""
_NAMES = {"\n": ENTER, "\r": ENTER, "\x1b": ESCAPE, "\x7f": BACKSPACE, "\x08": BACKSPACE, "\x15": CLEAR}
_PASTE = re.compile(r"\x1b\[200~(.*?)(?:\x1b\[201~|$)", re.DOTALL)
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\x1b\[O])")  # arrows, function keys, Alt with a key


def keys_of(text: str) -> list[str]:
    """The keys in what was read at once. Keys that do nothing here (arrows, function keys) are left out."""
    keys: list[str] = []
    position = 0
    while position < len(text):
        if paste := _PASTE.match(text, position):
            keys.append(PASTED + paste[1])
            position = paste.end()
        elif sequence := _SEQUENCE.match(text, position):
            position = sequence.end()
        else:
            character = text[position]
            if character in _NAMES or character.isprintable():
                keys.append(_NAMES.get(character, character))
            position += 1
    return keys
