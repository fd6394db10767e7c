"""What a terminal may be shown of a program's output: its colours, and nothing that moves, clears or answers."""

from __future__ import annotations

import re

_RESET = "\x1b[0m"
# All of a control sequence for colours (SGR), but 8 (concealed), which may also be a part of a colour: `38;5;8`.
_COLOUR = re.compile(r"\x1b\[(?:(?>[345]8;(?:5;\d*|2;\d*;\d*;\d*)|(?!0*8[;:m])[\d:]*)(?:;|(?=m)))*+m")
# ECMA-48: control sequences, then strings (titles, links, images) with their ends, then escapes of one character, then
# all other controls, and what turns the direction of the text around. What is cut off at the end of a line belongs to
# them, too.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*(?:[@-~]|$)"
    r"|\x1b[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\|$)"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def for_screen(line: str) -> str:
    """One line without what would damage the screen; colours stay, and end with the line.

    Of a progress bar, which returns to the start of its line (CR) for each step, only the last step is shown.
    """
    if line.isprintable():
        return line
    line = line.rstrip("\r")
    last = line.rpartition("\r")[2]
    shown = _CONTROL.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else "", last)
    is_open = "\x1b" in shown and not shown.startswith(_RESET, shown.rindex("\x1b"))
    return shown + _RESET if is_open else shown
