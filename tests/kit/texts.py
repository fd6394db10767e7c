"""The texts that mika shows, and their translations. `python -m tests.kit.texts` brings the catalogues up to date.

Each folder of `launcher/mika` has a catalogue of its own for people to edit, `locale/zh_CN/ROOM.po` (`cli-screen.po`);
mika reads the `mika.mo` that is compiled from all of them.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from mika.cli.language import CATALOGUES, CHINESE
from mika.cli.main import cli

from tests.kit.machine import ROOT

PACKAGE = CATALOGUES.parent
BOT = ROOT / "src"
PLACE = CATALOGUES / CHINESE
COMPILED = PLACE / "LC_MESSAGES" / "mika.mo"
_BOTS = "bot"
"""What the bot's API says: it speaks English, and mika has the translation."""
_LOOSE = "mika"
"""The room of the modules that are in none."""


def in_code() -> dict[str, dict[str, str]]:
    """Room -> text -> the module that shows it first."""
    rooms: dict[str, dict[str, str]] = {}
    for path in (*sorted(PACKAGE.rglob("*.py")), *sorted(BOT.rglob("*.py"))):
        is_bots = path.is_relative_to(BOT)
        name = path.relative_to(BOT.parent if is_bots else PACKAGE)
        room = rooms.setdefault(_BOTS if is_bots else _room(name), {})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                room.setdefault(literal(node, name), name.as_posix())
    for text in _of_help(cli, click.Context(cli)):
        rooms["cli"].setdefault(text, "cli (help)")
    return rooms


def _room(module: Path) -> str:
    return "-".join(module.parent.parts[:2]) or _LOOSE


def literal(call: ast.Call, name: Path) -> str:
    """The template of a call of `_`. Raises ValueError if it is made at run time: no catalogue could have it."""
    match call.args:
        case [ast.Constant(value=str() as text)]:
            return text
    raise ValueError(f"{name.as_posix()}:{call.lineno}: the first argument of _() must be a literal, the only one")


SHOWN = frozenset(
    {"Reason", "Notice", "echo", "confirm", "progress", "unknown_name", "NotYet", "Certain", "Hopeless", "Rung"}
)
"""Calls whose arguments a person reads; those of each `…Error` of mika are such, too."""
_NOT_TEXTS = frozenset({"code", "level"})
"""Their arguments that programs compare."""
_FOR_AGENTS = frozenset({"mcp"})
"""Rooms that no person reads: they speak English."""


def unmarked() -> dict[str, list[str]]:
    """Room -> each text that is shown, but not marked with `_()` (`doctor/run.py:12: no answer`)."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        room = rooms.setdefault(_room(name), [])
        if _room(name) in _FOR_AGENTS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _shows(node.func):
                values = (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg not in _NOT_TEXTS))
                room += [
                    f"{name.as_posix()}:{node.lineno}: {ast.unparse(value)}" for value in values if _is_prose(value)
                ]
    return rooms


def _shows(function: ast.expr) -> bool:
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    own_error = name.endswith("Error") and name not in dir(builtins) and isinstance(function, ast.Name)
    return own_error or name in SHOWN


def _is_prose(value: ast.expr) -> bool:
    """Whether it has a literal with words in it."""
    match value:
        case ast.Constant(value=str() as text):
            return bool(_WORDS.search(_COMMANDS.sub("", text)))
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.Constant) and _WORDS.search(str(part.value)) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _is_prose(left) or _is_prose(right)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_prose(body) or _is_prose(orelse)
        case ast.BoolOp(values=values):
            return any(map(_is_prose, values))
    return False


_WORDS = re.compile(r"[A-Za-z]{2}")
_COMMANDS = re.compile(r"`[^`]+`")
"""A command is the same in every language."""


def _of_help(command: click.Command, context: click.Context) -> Iterator[str]:
    for item in (command, *(param for param in command.params if isinstance(param, click.Option))):
        if item.help:
            yield inspect.cleandoc(item.help).partition("\f")[0]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _of_help(below, context)


def catalogues() -> dict[str, Catalog]:
    """Room -> its catalogue as it is in the repository."""
    found = {}
    for path in sorted(PLACE.glob("*.po")):
        with path.open("rb") as file:
            found[path.stem] = pofile.read_po(file, locale=CHINESE, abort_invalid=True)
    return found


def updated() -> dict[str, Catalog]:
    """The catalogues for the texts of today, with the translations that there are."""
    known = catalogues()
    shared = {message.id: message.string for catalogue in known.values() for message in catalogue if message.id}
    fresh = {}
    for room, texts in in_code().items():
        if texts:
            fresh[room] = _new()
            old = known.get(room, Catalog())
            for text, place in texts.items():
                own = old.get(text)
                fresh[room].add(text, (own.string if own else "") or shared.get(text, ""), auto_comments=[place])
    return fresh


def compiled(rooms: dict[str, Catalog]) -> Catalog:
    """All catalogues in one, for gettext. Raises ValueError if two rooms say the same text differently."""
    whole = _new()
    for room, catalogue in rooms.items():
        for message in catalogue:
            if message.id and message.string:
                other = whole.get(message.id)
                if other is not None and other.string != message.string:
                    raise ValueError(f"{room}.po: {message.id!r} is {message.string!r}, elsewhere {other.string!r}")
                whole.add(message.id, message.string)
    return whole


def _new() -> Catalog:
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # the same bytes on every day
    return Catalog(locale=CHINESE, project="mika", creation_date=day, revision_date=day, fuzzy=False)


def main() -> None:
    rooms = updated()
    for room, catalogue in rooms.items():
        with (PLACE / f"{room}.po").open("wb") as file:
            pofile.write_po(file, catalogue, width=0, omit_header=True)
        missing = sum(1 for message in catalogue if message.id and not message.string)
        print(
            f"{room:<18}{len(catalogue):>5} texts, {missing} not translated, {len(unmarked().get(room, ()))} not marked"
        )
    whole = compiled(rooms)
    COMPILED.parent.mkdir(parents=True, exist_ok=True)
    with COMPILED.open("wb") as file:
        mofile.write_mo(file, whole)


if __name__ == "__main__":
    main()
