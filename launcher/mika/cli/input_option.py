"""`--input`: the arguments of a workflow or of one of its handlers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mika.errors import UsageError
from mika.text import UTF16, decoded, read_text
from mika.wording import _

input_option: Callable[[Any], Any] = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="JSON|@FILE|-",
    help="An argument: JSON, a file with JSON, or standard input. Once for each argument, in their order.",
)


def texts_of(inputs: Sequence[str]) -> list[str]:
    """The JSON of each. Raises UsageError for what cannot be read or is no JSON."""
    if list(inputs).count("-") > 1:
        raise UsageError(_("--input: standard input is one argument only"), _("give the others as JSON or as @FILE"))
    numbered = enumerate(inputs, 1)
    return [_text(value, f"--input {number}" if len(inputs) > 1 else "--input") for number, value in numbered]


def _text(value: str, label: str) -> str:
    text = value
    if value == "-":
        text = sys.stdin.read().removeprefix("\ufeff")  # PowerShell pipes it
    elif value.startswith("@"):
        text = _content(Path(value[1:]), f"{label} {value}")
    try:
        json.loads(text)
    except ValueError as error:
        is_inline = value != "-" and not value.startswith("@")
        label = label if is_inline else f"{label} {value}"
        hint = _fix() if is_inline else _("a text is JSON in double quotes: {example}", example='"hello"')
        raise UsageError(_("{option} is not JSON: {error}", option=label, error=error), hint) from None
    return text


def _content(file: Path, label: str) -> str:
    """`ConvertTo-Json > FILE` of Windows PowerShell writes UTF-16: this file is for nobody but us."""
    try:
        data = file.read_bytes()
    except OSError:
        data = b""
    return decoded(data) if data.startswith(UTF16) else read_text(file, label)


def _fix(platform: str = sys.platform) -> str:
    if platform == "win32":
        return _(
            'the shell takes quotes away: in cmd.exe write --input "\\"hello\\"";'
            ' in PowerShell, too, --input "@FILE" takes the JSON from a file'
        )
    return _("a text needs quotes: --input '\"hello\"'")
