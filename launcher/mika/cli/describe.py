"""`mika describe`: everything about one process or service."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import psutil

from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo, shown
from mika.cli.names import names
from mika.cli.screen.table import address, duration, note, state_word
from mika.cli.screen.width import pad, width
from mika.cli.spelling import pasteable
from mika.config.load import Config
from mika.config.settings import as_text, mask
from mika.errors import NotRunningError
from mika.events import Exited, Started
from mika.frozen import frozen
from mika.project import logs
from mika.project.event_log import read_event
from mika.project.logs import EVENT_LOG
from mika.quoting import command_line
from mika.status import StackStatus, UnitStatus
from mika.text import unknown_name
from mika.wording import _

_EVENTS = 20_000
"""The last lines of the event log in which starts and exits are looked for."""
_TOLD = 10
_OURS = frozenset({"PORT", "PYTHONUNBUFFERED", "PYTHONUTF8", "VIRTUAL_ENV"})
"""Variables that mika sets, besides those that begin with MIKA_ or TEMPORAL_."""
_UNSAID = frozenset({"_", "PWD", "OLDPWD", "SHLVL"})
"""Variables in which any two programs differ."""


@frozen
class Running:
    """The process as it runs: what the system says about its pid."""

    command: list[str]
    program: str
    folder: str
    env: dict[str, str]


@click.command("describe")
@click.argument("name", shell_complete=names())
@json_option
@click.pass_obj
def describe_command(context: Context, name: str, as_json: bool) -> None:
    """Everything about one process or service: its command and environment as they run, and its starts and exits."""
    config = context.load_started()
    status = _status(context)
    units = status.matching(name) if status is not None else ()
    known = _names(context, config, status)
    if not units and name not in known:
        raise unknown_name(_("process or service"), name, known)
    if as_json:
        print_json({"version": 1, "units": [_as_json(context, config, unit) for unit in units]})
        return
    if not units or status is None:
        rows = [(_("name"), name), (_("state"), _("no stack is running here: `mika up`")), *_past(context, name)]
        echo(pasteable(_table(rows)))
        return
    echo("\n\n".join(pasteable(_table(_rows(context, config, status, unit))) for unit in units))


def _status(context: Context) -> StackStatus | None:
    try:
        return context.client.status()
    except NotRunningError:
        return None


def _names(context: Context, config: Config, status: StackStatus | None) -> list[str]:
    units = [unit.name for unit in status.units] if status is not None else []
    logged = logs.names(context.folder.logs) if context.folder.logs.is_dir() else []
    return sorted({*units, *config.processes, *(name for name in logged if name != EVENT_LOG)})


def _rows(context: Context, config: Config, status: StackStatus, unit: UnitStatus) -> Iterator[tuple[str, str]]:
    yield _("name"), unit.name
    state, more = state_word(unit), note(unit)
    yield _("state"), _("{state}; {more}", state=state, more=more) if more else state
    yield _("address"), address(unit, status)
    yield "pid", str(unit.pid or "")
    yield _("up"), duration(unit.uptime_s)
    yield _("memory"), f"{unit.rss_mb:.0f} MB" if unit.rss_mb is not None else ""
    yield _("listens"), ", ".join(unit.listens)
    running = _running(unit.pid)
    if running is not None:
        yield _("command"), command_line(mask("", word) for word in running.command)
        yield _("program"), running.program
        yield _("folder"), running.folder
    if unit.role == "process":
        yield _("ready when"), unit.address
    if running is not None:
        for number, (variable, value, origin) in enumerate(environment(config, unit.name, running.env)):
            given = _("{variable}={value}  ({origin})", variable=variable, value=value, origin=origin)
            yield _("environment") if not number else "", given
    yield from _past(context, unit.name)


def _past(context: Context, name: str) -> Iterator[tuple[str, str]]:
    segments = logs.segments(context.folder.logs, name)
    yield _("log"), f"{segments[-1].path}" if segments else _("none yet")
    for number, (seconds, event) in enumerate(history(context, name)):
        clock = f"{datetime.fromtimestamp(seconds, UTC).astimezone():%m-%d %H:%M:%S}"
        yield _("history") if not number else "", f"{clock}  " + _told(event)
        if isinstance(event, Exited):
            yield from (("", "    " + line) for line in event.last_lines)


def history(context: Context, name: str) -> list[tuple[float, Started | Exited]]:
    """The last starts and exits, oldest first, each with its time (seconds since the epoch)."""
    if not context.folder.logs.is_dir():
        return []
    found = [
        (line.time, event)
        for line in logs.read_tail(context.folder.logs, EVENT_LOG, _EVENTS)
        if (event := read_event(line)) is not None and event.name == name and isinstance(event, Started | Exited)
    ]
    return found[-_TOLD:]


def _told(event: Started | Exited) -> str:
    if isinstance(event, Started):
        return _("started, pid {pid}", pid=event.pid)
    if event.expected:
        return _("exited, {reason}", reason=event.reason.text)
    return _("exited, {reason} (not expected)", reason=event.reason.text)


def environment(
    config: Config, name: str, env: dict[str, str], platform: str = sys.platform
) -> list[tuple[str, str, str]]:
    """The variables of `env` that differ from this terminal's: name, value (secrets masked), and where it came from."""
    options, own = config.process(name), str.upper if platform == "win32" else str  # psutil tells them in capitals
    known_ones = (*config.settings.values(), *config.extras.values())
    # A default of ours is not what a process got that has another value.
    origins = {
        item.name: item.origin
        for item in known_ones
        if item.origin != "default" or env.get(item.name) == as_text(item.value)
    }
    origins |= dict.fromkeys(options.env, config.process_tables.get(name.partition(".")[0], "mika.toml"))
    origins = {own(known): origin for known, origin in origins.items()}
    rows = []
    for variable, value in sorted(env.items()):
        if variable in _UNSAID or os.environ.get(variable) == value:
            continue
        is_ours = variable in _OURS or variable.startswith(("MIKA_", "TEMPORAL_"))
        is_set_there = not is_ours or (variable in config.settings and variable not in origins)
        origin = origins.get(variable) or (_("where `mika up` was started") if is_set_there else "mika")
        rows.append((variable, mask(variable, value), origin))
    return rows


def _running(pid: int | None) -> Running | None:
    """None for a container, and for what has ended or belongs to somebody else."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Running(process.cmdline(), _program(process), process.cwd(), process.environ())
    except (psutil.Error, OSError):
        return None


def _program(process: psutil.Process) -> str:
    """Empty if Windows does not tell."""
    try:
        return process.exe()
    except (psutil.Error, OSError):
        return ""


def _as_json(context: Context, config: Config, unit: UnitStatus) -> dict[str, object]:
    running = _running(unit.pid)
    past = [dict[str, object](time=seconds, **event.as_json()) for seconds, event in history(context, unit.name)]
    value: dict[str, object] = {**unit.as_json(), "history": past, "running": None}
    if running is not None:
        value["running"] = {
            "command": [mask("", word) for word in running.command],
            "program": running.program,
            "cwd": running.folder,
            "env": {
                variable: {"value": given, "origin": origin}
                for variable, given, origin in environment(config, unit.name, running.env)
            },
        }
    return value


def _table(rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> str:
    lines = [(shown(label), shown(text)) for label, text in rows if text]
    columns = max(width(label) for label, _text in lines)
    return "\n".join(f"{pad(label, columns)}  {text}".rstrip() for label, text in lines)
