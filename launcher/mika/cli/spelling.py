"""How the user calls mika: a command in a hint must work when it is pasted."""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

from mika.cli.language import echo, shown
from mika.quoting import command_line, quoted
from mika.text import resolved

_MARK = "UV_RUN_RECURSION_DEPTH"
"""`uv run` sets it: https://docs.astral.sh/uv/reference/environment/.

Then `mika` may be on the PATH of this process alone.
"""
_ANCESTORS = 4
"""How far up to look for `uv`: on Windows, a launcher of uv and one of the environment are in between."""
_POWERSHELLS = ("powershell", "pwsh")
_SHELLS = (*_POWERSHELLS, "cmd", "bash", "zsh")
_COMMAND = re.compile("`mika (-C )?")
_folder: Path | None = None


def use_folder(folder: Path | None) -> None:
    """`folder`: the project, where a command that is pasted would not find it without -C."""
    global _folder  # noqa: PLW0603 - one process runs one command
    _folder = resolved(folder) if folder is not None else None
    called_as.cache_clear()


@functools.cache
def called_as() -> str:
    """`mika`, `uv run mika` (with the same options of uv), or `python -m mika`; with -C DIR if that is needed."""
    return _program() if _folder is None else f"{_program()} -C {quoted(_folder)}"


def _program() -> str:
    if os.environ.get(_MARK) and (command := _uv_command()):
        return command
    import shutil

    found, given = Path(shutil.which("mika") or os.devnull), sys.argv[0]
    if Path(given).name == "__main__.py":
        if found.parent == Path(sys.executable).parent:
            return "mika"
        python = Path(sys.executable).stem
        is_found = Path(shutil.which(python) or "") == Path(sys.executable)
        return f"{python if is_found else _called(sys.executable)} -m mika"
    is_path = os.sep in given or bool(os.altsep and os.altsep in given)
    # On Windows, the one of them may have its .exe, and the other one not.
    return _called(given) if is_path and found.with_suffix("") != Path(given).with_suffix("") else "mika"


def _called(program: str) -> str:
    """The path of a program, to be typed first: in PowerShell, one in quotes is only a text without the `&`."""
    path = quoted(program)
    return f"& {path}" if path.startswith('"') and _is_powershell() else path


def _is_powershell() -> bool:
    """Whether the shell in which mika was called is PowerShell."""
    import psutil

    try:
        names = [Path(process.name()).stem.lower() for process in psutil.Process().parents()[:_ANCESTORS]]
    except (psutil.Error, OSError):
        return False
    return next((name in _POWERSHELLS for name in names if name in _SHELLS), False)


def pasteable(text: str) -> str:
    """The text with its commands, `mika …` and `temporal …`, as the user has to type them."""
    text = _COMMAND.sub(lambda found: f"`{_program()} -C " if found[1] else f"`{called_as()} ", text)
    return text.replace("`temporal ", f"`{_temporal()} ") if "`temporal " in text else text


@functools.cache
def _temporal() -> str:
    """Temporal's own program: mika brings one along, in an environment that is perhaps not on the user's PATH."""
    import shutil

    ours = Path(sys.executable).with_name("temporal.exe" if sys.platform == "win32" else "temporal")
    found = shutil.which("temporal")
    is_theirs = found is not None and (Path(found) != ours or not os.environ.get(_MARK))
    return "temporal" if is_theirs or not ours.is_file() else _called(str(ours))


def say(text: str, *, err: bool = False) -> None:
    """A line in the user's language, with its commands as the user has to type them."""
    echo(pasteable(shown(text)), err=err)


def _uv_command() -> str:
    """With the options of uv, and whatever it is to run as mika; empty if it runs something else that runs mika."""
    import psutil

    own = sys.argv[1:]
    try:
        for process in psutil.Process().parents()[:_ANCESTORS]:
            words = process.cmdline()
            count = len(words) - len(own)
            before, after = words[:count], words[count:]
            is_uv = bool(words) and Path(words[0]).stem.lower() == "uv"
            if is_uv and "run" in before and after == own and Path(before[-1]).stem == "mika":
                return command_line(["uv", *before[1:]])
    except (psutil.Error, OSError):
        pass
    return ""
