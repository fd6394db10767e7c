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


@functools.cache
def called_as() -> str:
    """`mika`, `uv run mika` (with the same options of uv), or `python -m mika`."""
    if os.environ.get(_MARK):
        return _uv_command() or "uv run mika"
    import shutil

    is_module = Path(sys.argv[0]).name == "__main__.py"
    return f"{Path(sys.executable).stem} -m mika" if is_module and shutil.which("mika") is None else "mika"


def pasteable(text: str) -> str:
    """The text with its commands, `mika …`, as the user has to type them."""
    return text.replace("`mika ", f"`{called_as()} ") if "`mika " in text else text


def say(text: str, *, err: bool = False) -> None:
    """A line in the user's language, with its commands as the user has to type them."""
    click.echo(pasteable(shown(text)), err=err)


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
