"""Commands as one types them in the shell of this system: a hint must work when it is pasted.

On Windows in double quotes, which cmd.exe and PowerShell both know. Single quotes mean nothing to cmd.exe.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

# Without a comma, which makes a list in PowerShell, and without `@` in front, which means a variable there.
_PLAIN = re.compile(r"[\w%+=:./\\~-][\w@%+=:./\\~-]*")


def quoted(word: object, platform: str = sys.platform) -> str:
    """One word, in quotes if it needs them."""
    text = str(word)
    if platform == "win32":
        return text if _PLAIN.fullmatch(text) else _in_double_quotes(text)
    import shlex

    return shlex.quote(text) if text.isprintable() else _by_numbers(text)


def command_line(words: Iterable[object], platform: str = sys.platform) -> str:
    return " ".join(quoted(word, platform) for word in words)


def _by_numbers(text: str) -> str:
    """In the quotes of bash and zsh in which a character may be its number: no terminal may be shown all of them."""

    def shown(character: str) -> str:
        if character.isprintable() and character not in "\\'":
            return character
        return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))

    return "$'" + "".join(map(shown, text)) + "'"


def _in_double_quotes(text: str) -> str:
    """A quote in it gets a backslash; backslashes before any quote are doubled: as programs on Windows read it."""
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def kill_command(*pids: object, force: bool = False, platform: str = sys.platform) -> str:
    """What ends these processes. `taskkill` only closes windows without /F, and takes no list of pids."""
    if platform == "win32":
        return " ".join(["taskkill /F", *(f"/PID {pid}" for pid in pids)])
    return " ".join(["kill", *["-9"] * force, *map(str, pids)])


def rights_command(path: object, platform: str = sys.platform) -> str:
    """What shows who may do what with a file or folder."""
    return f"{'icacls' if platform == 'win32' else 'ls -la'} {quoted(path, platform)}"
