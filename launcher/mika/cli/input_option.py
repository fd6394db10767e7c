"""`--input`: the arguments of a workflow or of one of its handlers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mika.errors import UsageError
from mika.text import read_text
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
        text = sys.stdin.read()
    elif value.startswith("@"):
        text = read_text(Path(value[1:]), f"{label} {value}")
    try:
        json.loads(text)
    except ValueError as error:
        fix = _("a text needs quotes: --input '\"hello\"'")
        raise UsageError(_("{option} is not JSON: {error}", option=label, error=error), fix) from None
    return text
