"""What the last lines of a process say about why it ended, and whether trying again could help."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Causes that stay the same until somebody changes a file or a setting. Each is a line of output at the end of a run
# that never became ready; the policy still tries once more: an editor may have been in the middle of saving.
_HOPELESS = [
    re.compile(r"^(ModuleNotFoundError|ImportError|SyntaxError|IndentationError|TabError)\b"),
    re.compile(r"Error loading ASGI app\b"),  # uvicorn: an import string that names nothing
    re.compile(r"No module named \S+"),  # `python -m x` prints no traceback
    re.compile(r"can't open file '.*': \[Errno 2\]"),
    re.compile(r"[Nn]amespace \S+ (is|was) not found"),  # the SDK's worker validation
    re.compile(r"file is not a database"),  # SQLite: temporal.db is damaged
    re.compile(r"[Aa]ddress already in use|Errno 10048|only one usage of each socket address"),
]
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_ERROR_LINE = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b.*|.*\b(error|fatal|panic)\b.*", re.IGNORECASE)


# A shell that did not find the program: sh, and cmd.exe (whose words are in the language of the user).
_NOT_FOUND_CODES = {126: "cannot be executed", 127: "program not found", 9009: "program not found"}


def hopeless(lines: Sequence[str], code: int) -> str:
    """The cause that a retry cannot mend, as one line of the output, or an empty string."""
    if code in _NOT_FOUND_CODES:
        return last_words(lines) or _NOT_FOUND_CODES[code]
    recent = [line.strip() for line in lines[-20:]]
    for number, text in reversed(list(enumerate(recent))):
        if any(pattern.search(text) for pattern in _HOPELESS):
            return (text + _place(recent[:number]) if text.startswith(_SYNTAX) else text)[:300]
    return ""


def _place(before: Sequence[str]) -> str:
    """` (src/x.py:12)`: a syntax error says only in the lines above it where it is."""
    for text in reversed(before):
        found = re.match(r'File "(.+)", line (\d+)', text)
        if found:
            return f" ({found[1]}:{found[2]})"
    return ""


def last_words(lines: Sequence[str]) -> str:
    """The line that most likely says why: the newest that looks like an error, else the newest that is not blank."""
    shown = [line.strip() for line in lines if line.strip()]
    for line in reversed(shown[-10:]):
        if _ERROR_LINE.match(line):
            return line[:300]
    return shown[-1][:300] if shown else ""
