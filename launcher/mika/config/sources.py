"""Reads the configuration files: TOML with the line of each key, and `.env` with the line of each name."""

from __future__ import annotations

import io
import re
import tomllib
from typing import TYPE_CHECKING, Any

from mika.errors import UsageError
from mika.frozen import frozen
from mika.text import read_text
from mika.wording import _

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_ASSIGNMENT = re.compile(rf"\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*=")
_NEWLINE = re.compile(r"\r\n|\n|\r")
_SINGLE_QUOTED = re.compile(r"[^=]*=\s*'")


@frozen
class TomlTable:
    """mika's table in a TOML file; `prefix` is the path to it."""

    label: str
    text: str
    prefix: tuple[str, ...]
    values: dict[str, Any]

    def where(self, *path: str) -> str:
        """`file:line` of a key in the table, or of its nearest parent that is on a line of its own."""
        line = line_of(self.text, (*self.prefix, *path))
        return f"{self.label}:{line}" if line else self.label


def read_toml(path: Path, prefix: tuple[str, ...] = (), label: str = "") -> TomlTable:
    """The table `prefix` of a TOML file; empty if the file or the table does not exist.

    In messages, the file is called `label`; without one, by its name.
    """
    label = label or path.name
    if not path.exists():
        return TomlTable(label, "", prefix, {})
    text = read_text(path, label)
    try:
        table: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(toml_error(label, text, str(error))) from error
    except RecursionError as error:
        raise UsageError(_("{file}: is nested too deeply; simplify it", file=label)) from error
    for depth, part in enumerate(prefix):
        table = table.get(part, {})
        if not isinstance(table, dict):
            line = line_of(text, prefix[: depth + 1])
            raise UsageError(
                _(
                    "{where}: '{name}' must be a table; write [{table}]",
                    where=f"{label}:{line}",
                    name=part,
                    table=".".join(prefix),
                )
            )
    return TomlTable(label, text, prefix, table)


def toml_error(label: str, text: str, message: str) -> str:
    """The message of tomllib about `text` in one line, with the place at its beginning."""
    problem, _at, location = message.partition(" (at ")
    position = re.search(r"line (\d+), column (\d+)", location)
    # Without a position, the error is at the end of the document.
    place = f"{position[1]}:{position[2]}" if position else str(max(1, len(text.splitlines())))
    if problem.startswith(("Unescaped '", "Invalid hex")):
        return _(
            "{where}: not valid TOML: a \\ in double quotes begins an escape; write a path in single quotes, or with /",
            where=f"{label}:{place}",
        )
    return _(
        "{where}: not valid TOML: {problem}; correct that line",
        where=f"{label}:{place}",
        problem=f"{problem[:1].lower()}{problem[1:]}",
    )


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line of the key `path`, or of the longest part of it that is in the text, or 0. Good enough for a message.

    A table that is only there through others (`[path.more]`) is on the line of the first of them.
    """
    best_line, best_length = 0, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            key = table = _split_key(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            key = (*table, *_split_key(assignment[1]))
        else:
            continue
        shared = key[: len(path)]
        if len(shared) > best_length and path[: len(shared)] == shared:
            best_line, best_length = number, len(shared)
    return best_line


def where_it_belongs(key: str) -> str:
    """Where a key belongs that is like none of ours."""
    if key == "tool":
        return _("in mika.toml, the keys of [tool.mika] are at the top level: remove `tool.mika`")
    return _("this is not a setting of mika; a variable that your program reads belongs in .env")


def _split_key(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY_PART, text))


@frozen
class DotEnv:
    """The variables of a `.env` file and the line of each."""

    values: dict[str, str]
    lines: dict[str, int]


def read_dotenv(path: Path, environ: Mapping[str, str]) -> DotEnv:
    """Read a `.env` file as python-dotenv does, except that a broken line is an error and not a warning.

    `${NAME}` and `${NAME:-default}` are expanded, from the environment first, as python-dotenv and docker compose do.
    In single quotes they are not, as in docker compose. A folder named `.env` (a virtual environment) is ignored.
    """
    if not path.exists() or path.is_dir():
        return DotEnv({}, {})
    from dotenv.parser import parse_stream

    label = path.name
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(read_text(path, label))):
        source = binding.original.string
        # For python-dotenv, the blank lines before a statement are a part of it.
        blank = source[: len(source) - len(source.lstrip())]
        line = binding.original.line + len(_NEWLINE.findall(blank))
        where = f"{label}:{line}"
        if binding.error:
            raise UsageError(
                _(
                    "{where}: is not a NAME=value line;"
                    " quote a value that contains quotes, or begins or ends with a space",
                    where=where,
                )
            )
        if binding.key is None:
            continue
        if binding.value is None:
            raise UsageError(
                _(
                    "{where}: '{name}' has no value; write {name}=value, or remove the line",
                    where=where,
                    name=binding.key,
                )
            )
        if "\0" in source:
            raise UsageError(_("{where}: contains a NUL character; remove it", where=where))
        value = binding.value
        if not _SINGLE_QUOTED.match(source):
            value = _expanded(value, {**values, **environ}, where)
        values[binding.key] = value
        lines[binding.key] = line
    return DotEnv(values, lines)


def _expanded(value: str, scope: Mapping[str, str | None], where: str) -> str:
    """With its variables filled in. Raises UsageError for one that is not set."""
    from dotenv.variables import Variable, parse_variables

    atoms = list(parse_variables(value))
    for atom in atoms:
        if isinstance(atom, Variable) and atom.default is None and atom.name not in scope:
            raise UsageError(
                _(
                    "{where}: {variable} is not set; set it further up, or put the value in single quotes",
                    where=where,
                    variable=f"${{{atom.name}}}",
                )
            )
    return "".join(atom.resolve(scope) for atom in atoms)
