"""The fields of a log line as a person reads them: `8bc6a514  attempt=1  0 ms`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mika.text import plain

LONGEST_VALUE = 200  # characters; the log file has the rest
_HEX = "[0-9a-fA-F]"
_LONG_ID = re.compile(rf"(?:.*[^0-9a-fA-F])?({_HEX}{{8}})(?:-?{_HEX}){{8}}(?:-?{_HEX}++)*+")
_ID_NAMES = ("workflow_id", "workflowid", "workflow.id")


class Template(NamedTuple):
    """For `str.format`. `ids`: the numbers of the values that are shortened."""

    text: str
    ids: tuple[int, ...]


def template(fields: Iterable[tuple[str, int]], paint: Callable[[str], str]) -> Template:
    """Of fields, by their names and the numbers of their values. The workflow's id comes first."""
    ordered = sorted(fields, key=lambda field: field[0].lower() not in _ID_NAMES)
    text = "".join(f"  {paint(_template(name, number))}" for name, number in ordered)
    return Template(text, tuple(number for name, number in ordered if name.lower().endswith("id")))


def _template(name: str, number: int) -> str:
    if name.lower() in _ID_NAMES:
        return f"{{{number}}}"
    if name == "elapsed_ms":
        return f"{{{number}}} ms"
    escaped = in_one_line(name).replace("{", "{{").replace("}", "}}")
    return f"{escaped}={{{number}}}"


def in_one_line(value: str) -> str:
    """What fits into a row, and cannot leave it."""
    shown = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"
    if shown.isprintable():
        return shown
    shown = plain(shown).replace("\n", "\\n").replace("\r", "\\r")
    return "".join(character if character.isprintable() else "?" for character in shown)


@functools.lru_cache(maxsize=1000)
def short_id(text: str) -> str:
    """Eight characters of a long random id, and what is short as it is.

    `process_message_8bc6a514…` and the UUID `8bc6a514-…` both become `8bc6a514`.
    """
    found = _LONG_ID.fullmatch(text)
    return found[1] if found else text
