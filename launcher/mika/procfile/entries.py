"""Reads the Procfile, in honcho's dialect. Checks each line first, because honcho silently drops broken lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mika.config.process_options import LARGEST_COUNT
from mika.config.settings import parse_port, printable
from mika.errors import UsageError
from mika.frozen import frozen
from mika.text import read_text, unknown_name
from mika.wording import Text, _

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_EXAMPLE = "api: python -m uvicorn src.api.main:app --port $API_PORT\nworker: python -m src.workers.temporal_worker"
_PYTHON = re.compile(r".+\.py|pyproject\.toml|requirements.*\.txt|Pipfile")
_EXAMPLES = {
    r"package\.json": "web: npm run start\nworker: npx tsx src/worker.ts",
    r"go\.mod": "api: go run ./api\nworker: go run ./worker",
    r"pom\.xml": "api: mvn spring-boot:run\nworker: mvn compile exec:java -Dexec.mainClass=com.example.Worker",
    r"build\.gradle(\.kts)?": "api: gradle bootRun\nworker: gradle run",
    r".+\.[cf]sproj": "api: dotnet run --project api\nworker: dotnet run --project worker",
}
"""By the manifest of a project that has no Python."""
BASE_PORT = 5000
PORTS_PER_ENTRY = 100  # honcho's step from one entry to the next

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_LINE_END = re.compile(r"\r\n|\n|\r")
# Each process has a log file with its name, and Windows cannot create files with these names.
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@frozen
class Entry:
    """One line; 0 if it is in no file. `index` is its position among the entries, which determines its PORT."""

    name: str
    command: str
    line: int
    index: int


@frozen
class Instance:
    """One process to run; `type` is the entry's name, `index` counts from 1 within it."""

    name: str
    type: str
    index: int
    command: str
    port: int
    line: int


def read(path: Path) -> list[Entry]:
    """The entries in file order. Raises UsageError that names the line and says how to fix it."""
    from honcho.environ import parse_procfile  # type: ignore[import-untyped]  # honcho ships no types

    label = path.name
    if not path.exists():
        raise UsageError(
            _(
                "{file}: not found in {folder}; write one with a line for each process, or give its folder with -C",
                file=label,
                folder=path.parent.resolve(),
            ),
            hint=_hint(path.parent),
        )
    lines: dict[str, int] = {}
    texts: list[str] = []
    first_lines: dict[str, int] = {}
    for number, raw in enumerate(_LINE_END.split(read_text(path, label)), start=1):
        text = raw.strip(" \t")
        if not text or text.startswith("#"):
            continue
        try:
            name = _check_line(text)
        except ValueError as error:
            raise UsageError(_("{where}: {problem}", where=f"{label}:{number}", problem=error)) from error
        # Ignoring case: on Windows, `Web` and `web` would have the same log file.
        first = first_lines.setdefault(name.lower(), number)
        if first != number:
            raise UsageError(
                _(
                    "{where}: '{name}' is already on line {line}; give it another name",
                    where=f"{label}:{number}",
                    name=name,
                    line=first,
                )
            )
        lines[name] = number
        texts.append(text)
    if not texts:
        raise UsageError(
            _("{file}: has no entries; write a line for each process", file=label), hint=_hint(path.parent)
        )
    parsed = parse_procfile("\n".join(texts)).processes
    return [Entry(name, parsed[name], line, index) for index, (name, line) in enumerate(lines.items())]


def example(names: Iterable[str]) -> str:
    """Lines of a Procfile, for a project with files of these names."""
    known = list(names)
    if not any(map(_PYTHON.fullmatch, known)):
        for manifest, lines in _EXAMPLES.items():
            if any(re.fullmatch(manifest, name) for name in known):
                return lines
    return _EXAMPLE


def _hint(folder: Path) -> Text:
    try:
        names = [found.name for found in folder.iterdir()]
    except OSError:
        names = []
    return _("For example:\n{example}", example=example(names))


def _check_line(text: str) -> str:
    """The name on a line. Raises ValueError that says what is wrong."""
    # honcho splits at every Unicode line break, so it would silently cut off a command that contains one.
    invisible = next((c for c in text if c != "\t" and (ord(c) < 32 or c in "\x7f\x85\u2028\u2029")), None)
    if invisible:
        raise ValueError(_("contains the invisible character U+{code:04X}; remove it", code=ord(invisible)))
    name, separator, command = text.partition(":")
    if not separator:
        if "\uff1a" in text:
            raise ValueError(_("contains the full-width colon \uff1a; write ':' after the name"))
        raise ValueError(_("'{line}' is not an entry; write 'name: command'", line=printable(text)))
    _check_name(name, text)
    if not command.strip():
        raise ValueError(_("'{name}' has no command; write it after the colon", name=name))
    if re.search(r"(^|\s)\\$", command):
        raise ValueError(
            _("ends with a backslash, but a Procfile has no continuation lines; write the command on one line")
        )
    return name


def _check_name(name: str, line: str) -> None:
    shown = printable(name.strip())
    if not shown:
        raise ValueError(_("has no name before the colon; write 'name: command'"))
    if name != name.rstrip():
        raise ValueError(_("has a space between the name '{name}' and the colon; write '{name}: …'", name=shown))
    if re.search(r"\s", name):
        raise ValueError(_("'{line}' is not an entry; write 'name: command'", line=printable(line)))
    if not _NAME.fullmatch(name):
        raise ValueError(
            _("the name '{name}' is not allowed; use letters (a-z), digits, _ and -, and no - at the start", name=shown)
        )
    if name.lower() in _WINDOWS_DEVICES:
        raise ValueError(_("the name '{name}' is a device on Windows; use another one", name=shown))


def select(entries: Sequence[Entry], args: Sequence[str]) -> tuple[list[Entry], dict[str, int]]:
    """The entries that `args` (`worker`, `worker=2`) name, in file order, and the counts in them. Without args: all."""
    counts: dict[str, int] = {}
    chosen: set[str] = set()
    names = [entry.name for entry in entries]
    for arg in args:
        name, separator, count = arg.partition("=")
        if name not in names:
            raise unknown_name(_("process"), printable(name), names)
        if separator:
            if not re.fullmatch(r"[0-9]{1,4}", count) or int(count) > LARGEST_COUNT:
                raise UsageError(
                    _(
                        "{argument}: '{count}' is not a count; give a whole number from 0 to {largest}",
                        argument=printable(arg),
                        count=printable(count),
                        largest=LARGEST_COUNT,
                    )
                )
            counts[name] = int(count)
        chosen.add(name)
    return [entry for entry in entries if not args or entry.name in chosen], counts


def expand(entries: Sequence[Entry], counts: Mapping[str, int], env: Mapping[str, str] | None = None) -> list[Instance]:
    """One instance for each process to run: `worker`, or `worker.1` and `worker.2` if `counts` asks for several.

    PORT is the same as with honcho: 5000 (or PORT of `env`), plus 100 for each earlier entry, plus 1 for each earlier
    instance. Only the position in the file counts, so running a selection does not change the ports.
    """
    from honcho.environ import expand_processes

    base = BASE_PORT
    if env and env.get("PORT"):
        try:
            base = parse_port(env["PORT"].strip())
        except ValueError as error:
            raise UsageError(
                _(
                    "{where}: {name} is '{value}', which {problem}; give {expected}",
                    where=_("environment"),
                    name="PORT",
                    value=printable(env["PORT"]),
                    problem=error,
                    expected=_("a whole number from 1 to 65535"),
                )
            ) from error
    instances: list[Instance] = []
    for entry in entries:
        count = counts.get(entry.name, 1)
        start = base + PORTS_PER_ENTRY * entry.index
        params = expand_processes({entry.name: entry.command}, concurrency={entry.name: count}, port=start)
        for index, process in enumerate(params, start=1):
            port = int(process.env["PORT"])
            if port > 65535:
                raise UsageError(
                    _(
                        "environment: PORT is {port}, which leaves no port for '{name}'; give a smaller one",
                        port=base,
                        name=process.name,
                    )
                )
            name = process.name if count > 1 else entry.name
            instances.append(Instance(name, entry.name, index, process.cmd, port, entry.line))
    return instances
