"""How the user calls mika: a command in a hint must work when it is pasted."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import click

from mika.cli.language import shown

_MARK = "UV_RUN_RECURSION_DEPTH"
"""`uv run` sets it: https://docs.astral.sh/uv/reference/environment/. Then `mika` alone may not be on the PATH."""
_ANCESTORS = 4
"""How far up to look for `uv`: on Windows, a launcher of uv and one of the environment are in between."""


_folder: Path | None = None


def use_folder(folder: Path | None) -> None:
    """`folder`: the project, where a command that is pasted would not find it without -C."""
    global _folder  # noqa: PLW0603 - one process runs one command
    _folder = folder
    called_as.cache_clear()


@functools.cache
def called_as() -> str:
    """`mika`, `uv run mika` (with the same options of uv), or `python -m mika`; with -C DIR if that is needed."""
    return _program() if _folder is None else f"{_program()} -C {_quoted(str(_folder))}"


def _program() -> str:
    if os.environ.get(_MARK):
        return _uv_command() or "uv run mika"
    import shutil

    if shutil.which("mika") is not None:
        return "mika"
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        python = Path(sys.executable).stem
        is_found = Path(shutil.which(python) or "") == Path(sys.executable)
        return f"{python if is_found else _quoted(sys.executable)} -m mika"
    return _quoted(sys.argv[0]) if program.stem == "mika" and len(program.parts) > 1 else "mika"


def pasteable(text: str) -> str:
    """The text with its commands, `mika …`, as the user has to type them."""
    return text.replace("`mika ", f"`{called_as()} ") if "`mika " in text else text


def say(text: str, *, err: bool = False) -> None:
    """A line in the user's language, with its commands as the user has to type them."""
    click.echo(pasteable(shown(text)), err=err)


def _quoted(word: str) -> str:
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline([word])
    import shlex

    return shlex.quote(word)


def _uv_command() -> str:
    import shlex

    import psutil

    try:
        for process in psutil.Process().parents()[:_ANCESTORS]:
            words = process.cmdline()
            if not words or Path(words[0]).stem.lower() != "uv" or "run" not in words:
                continue
            for number, word in enumerate(words):
                if Path(word).stem == "mika":
                    return shlex.join(["uv", *words[1:number], "mika"])
    except (psutil.Error, OSError):
        pass
    return ""
