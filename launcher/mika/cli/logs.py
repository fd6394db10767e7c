"""`mika logs`."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from mika.cli.context import Context, look_option, make_pretty, use_color
from mika.cli.kinds import Whole
from mika.cli.language import echo, shown
from mika.cli.log_filter import LogFilter, compile_pattern, parse_level
from mika.cli.names import names as known_names
from mika.cli.names import written
from mika.cli.screen.relay import Prefixes
from mika.cli.screen.view import describe
from mika.cli.spelling import pasteable
from mika.errors import MikaError, UsageError
from mika.events import BackingOff, Exited, GaveUp, Ready, Started, Unhealthy
from mika.project import logs
from mika.project.event_log import EventReader, in_english, read_event
from mika.project.log_search import Naming
from mika.project.logs import EVENT_LOG
from mika.status import type_of
from mika.text import unknown_name
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, None: 1}
_INTERVAL = 0.1
_UNFINISHED = 1.0  # s, after which a line is shown whose end has not come: a question, or the last words of a crash
_BLOCK_LINES, _BLOCK_SECONDS = 200, 0.1
_TOLD = (Started, Ready, Unhealthy, Exited, BackingOff, GaveUp)
"""The events that `logs -f` shows."""


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=known_names(EVENT_LOG))
@click.option("-f", "--follow", is_flag=True, help="Go on, with what is written from now on.")
@click.option("-n", "--lines", type=Whole(min=0), help="Only the last N lines of each.")
@click.option("--since", metavar="T", help="From then on: 90s, 5m, 2h ago, at 18:00, or 2026-11-24T18:00.")
@click.option("--until", metavar="T", help="Up to then, given as with --since.")
@click.option("--grep", metavar="RE", help="Only lines that match this regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="For --grep: upper and lower case are the same.")
@click.option("--level", metavar="LEVEL", help="Only lines of this level or above: debug, info, warning, error.")
@click.option("--workflow", metavar="ID", help="Only lines that name this workflow: a part of its id, or `last`.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its date and time.")
@look_option
@click.pass_obj
def logs_command(
    context: Context,
    names: tuple[str, ...],
    follow: bool,
    lines: int | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    ignore_case: bool,
    level: str | None,
    workflow: str | None,
    timestamps: bool,
    pretty: bool | None,
) -> None:
    """Show the output of processes and services, also when nothing runs. `mika` is the log of events."""
    folder = context.folder.logs
    pattern = compile_pattern(grep, ignore_case=ignore_case)
    workflow = _last_workflow(context) if workflow == "last" else workflow
    naming = Naming(workflow) if workflow is not None else None
    wanted = LogFilter(pattern, parse_level(level), naming, _moment("--until", until))
    began = _moment("--since", since)
    names_of_logs = logs.names(folder) if folder.is_dir() else []
    for path in logs.non_files(folder):
        echo(_("mika: {path} is not a file and is skipped: remove it", path=path), err=True)
    chosen = _choose(context, names, names_of_logs)
    look = False if timestamps and pretty is None else pretty
    with_events = EVENT_LOG in chosen  # its lines have the names of all
    alone = len(chosen) == 1 and not with_events
    printer = _Printer(
        Prefixes(chosen, color=use_color(), alone=len(chosen) == 1),
        make_pretty(look, names_of_logs if with_events else chosen, context.folder.project, alone=alone),
        timestamps=timestamps,
    )
    # With a filter the last lines are those that it lets through, so all lines are read.
    tail = lines if wanted.is_empty else None
    reader = EventReader(context.folder)
    followers = {name: logs.Follower(folder, name, tail=tail, since=began) for name in chosen}
    entries = logs.merged(followers, tail=tail, is_end=not follow)
    matches = (entry for entry in entries if wanted.matches(*entry))
    is_found = False
    try:
        for name, line in matches if wanted.is_empty or lines is None else _last_of_each(matches, lines):
            is_found = True
            printer.print(name, line)
    finally:
        printer.flush()
    if follow:
        _follow(followers, reader, printer, wanted)
    elif workflow is not None and not is_found:
        fix = _("`mika workflows` lists the ids; the other options may leave lines out")
        raise MikaError(_("no line of these logs names {workflow}", workflow=workflow), fix, code="no_lines")
    elif not is_found and lines != 0:
        _say_why_empty(chosen, is_filtered=began is not None or not wanted.is_empty)


def _say_why_empty(chosen: Sequence[str], *, is_filtered: bool) -> None:
    """On standard error: nothing at all could be a mistake in an option, or a log that does not grow."""
    if not chosen:
        echo(_("mika: there are no logs here yet"), err=True)
    elif is_filtered:
        echo(_("mika: no line of these logs matches: {names}", names=listed(chosen)), err=True)


def _last_workflow(context: Context) -> str:
    """The id of the workflow that was started last. Raises MikaError if there is none, or no server answers."""
    from mika.cli.asking import ask
    from mika.doctor.workflows.story import find

    return str(ask(context, lambda exam: find(exam, "last")).workflow_execution_info.execution.workflow_id)


def _last_of_each(entries: Iterable[tuple[str, logs.Line]], count: int) -> list[tuple[str, logs.Line]]:
    """The last `count` lines of each log, in the order of their times."""
    last: dict[str, deque[tuple[str, logs.Line]]] = {}
    for entry in entries:
        last.setdefault(entry[0], deque(maxlen=count)).append(entry)
    return sorted((entry for kept in last.values() for entry in kept), key=lambda entry: entry[1].time)


def _follow(followers: Mapping[str, logs.Follower], reader: EventReader, printer: _Printer, wanted: LogFilter) -> None:
    """Show new lines, and between them when a process exited, was started again, or gave up."""
    grown = dict.fromkeys(followers, (b"", 0.0))
    while wanted.until is None or time.time() <= wanted.until:
        events = reader.poll()  # before the lines: what a process wrote before one of these is there by then
        new = [(name, line) for name, follower in followers.items() for line in follower.poll()]
        for name, follower in followers.items():
            unfinished, since = grown[name]
            if follower.unfinished != unfinished:
                grown[name] = follower.unfinished, time.monotonic()
            elif unfinished and time.monotonic() - since >= _UNFINISHED:
                new += [(name, line) for line in follower.flush()]
        for name, line in new:
            if wanted.matches(name, line):
                printer.print(name, line)
        for event in events:
            if event.name in followers and isinstance(event, _TOLD) and wanted.is_empty:
                printer.tell(event.name, describe(event, starting=False))
        printer.flush()
        if not new:
            time.sleep(_INTERVAL)


class _Printer:
    """How lines are shown: readable with `pretty`, else their bytes, with their times if asked for.

    They are written in blocks, since a system call for each would be half of the work; `flush` writes what is left.
    """

    def __init__(self, prefixes: Prefixes, pretty: Pretty | None, *, timestamps: bool) -> None:
        self._prefixes, self._pretty, self._timestamps = prefixes, pretty, timestamps
        self._block: list[str] = []
        self._flushed_at = float("-inf")

    def flush(self) -> None:
        block, self._block = "".join(self._block), []
        self._flushed_at = time.monotonic()
        if block:
            click.echo(block, nl=False, color=True)

    def _write(self, text: str) -> None:
        self._block.append(text)
        if len(self._block) >= _BLOCK_LINES or time.monotonic() - self._flushed_at >= _BLOCK_SECONDS:
            self.flush()

    def tell(self, name: str, text: str) -> None:
        """Something about the process that is not its output."""
        text = pasteable(shown(text))
        if self._pretty is not None:
            self._write(self._pretty.event(name, time.time(), text))
            return
        for line in text.splitlines():
            self._write(self._prefixes.line(name, f"--- {line}\n"))

    def print(self, name: str, line: logs.Line) -> None:
        if self._pretty is not None:
            self._write(self._readable(self._pretty, name, line))
            return
        stamp = (
            f"{datetime.fromtimestamp(line.time, UTC).astimezone():%Y-%m-%dT%H:%M:%S.%f%z} " if self._timestamps else ""
        )
        self._write(self._prefixes.line(name, f"{stamp}{_text(name, line)}\n"))

    def _readable(self, pretty: Pretty, name: str, line: logs.Line) -> str:
        event = read_event(line) if name == EVENT_LOG else None
        if event is None:
            return pretty.line(name, line)
        text = describe(event, starting=True)
        return pretty.event(event.name or EVENT_LOG, line.time, pasteable(shown(text))) if text else ""


def _text(name: str, line: logs.Line) -> str:
    text = logs.decode(line.data).rstrip("\r\n")
    return in_english(text) if name == EVENT_LOG else text


def _choose(context: Context, names: Sequence[str], names_of_logs: list[str]) -> list[str]:
    """Raises UsageError for a name without a log, unless it runs or is in the Procfile, and has been quiet so far."""
    if not names:
        return [name for name in names_of_logs if name != EVENT_LOG]
    chosen = []
    for name in names:
        meant = [log for log in names_of_logs if name in (log, type_of(log))]
        if not meant:
            meant = _running(context, name) or [each for each in written(context.folder.project) if each == name]
            for silent in meant:
                echo(_("mika: {name} has written nothing yet", name=silent), err=True)
        if not meant:
            raise unknown_name(_("log"), name, names_of_logs)
        chosen += meant
    return chosen


def _running(context: Context, name: str) -> list[str]:
    """The units of the running stack that `name` selects."""
    try:
        return [unit.name for unit in context.client.status().matching(name)]
    except MikaError:
        return []


def _moment(option: str, given: str | None) -> float | None:
    """Seconds since the epoch. Raises UsageError."""
    if given is None:
        return None
    ago = _AGO.fullmatch(given.strip())
    if ago:
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    try:
        if clock := _CLOCK.fullmatch(given.strip()):
            return _last_time_at(*(int(part or 0) for part in clock.groups()))
        moment = datetime.fromisoformat(given)
        try:
            return moment.astimezone().timestamp()
        except OSError:  # Windows knows no time zone before 1970 and after 3000
            return moment.replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        an_hour_ago = datetime.now().astimezone() - timedelta(hours=1)
        raise UsageError(
            _("{option}: {given!r} is not a time", option=option, given=given),
            _("write 90s, 5m, 2h, 18:00, or {example}", example=f"{an_hour_ago:%Y-%m-%dT%H:%M}"),
        ) from None


def _last_time_at(hour: int, minute: int, second: int) -> float:
    """When a clock here has shown that for the last time. Raises ValueError."""
    now = datetime.now()  # noqa: DTZ005 - what a clock shows, also where it was set back meanwhile
    moment = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return (moment if moment <= now else moment - timedelta(days=1)).timestamp()
