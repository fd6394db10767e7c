"""`mika logs`."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import click

from mika.cli.context import Context
from mika.cli.screen.relay import Prefixes, use_color
from mika.cli.screen.view import describe
from mika.cli.spelling import pasteable
from mika.errors import UsageError
from mika.events import BackingOff, Exited, GaveUp, Ready, Started, Unhealthy
from mika.project import logs
from mika.project.event_log import EventReader
from mika.project.folder import ProjectDir
from mika.project.logs import EVENT_LOG
from mika.status import type_of
from mika.text import plain, unknown_name

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, None: 1}
_INTERVAL = 0.1
_TOLD = (Started, Ready, Unhealthy, Exited, BackingOff, GaveUp)
"""The events that `logs -f` shows."""


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on, with what is written from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last N lines of each.")
@click.option("--since", metavar="T", help="From then on: 90s, 5m, 2h, or 2026-11-24T18:00.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option("--grep", metavar="RE", help="Only lines that match this regular expression.")
@click.pass_obj
def logs_command(
    context: Context,
    names: tuple[str, ...],
    follow: bool,
    lines: int | None,
    since: str | None,
    timestamps: bool,
    grep: str | None,
) -> None:
    """Show the output of processes and services, also when nothing runs. `mika` is the log of events."""
    folder = context.folder.logs
    names_of_logs = logs.names(folder) if folder.is_dir() else []
    for path in logs.non_files(folder):
        click.echo(f"mika: {path} is not a file and is skipped: remove it", err=True)
    chosen = _choose(names, names_of_logs)
    shown = _Shown(chosen, _pattern(grep), timestamps=timestamps)
    # With --grep the last lines are those of the matches, so all lines are read.
    entries = logs.read_merged(folder, chosen, tail=None if grep is not None else lines, since=_since(since))
    matches = (entry for entry in entries if shown.matches(entry[1]))
    for name, line in matches if grep is None or lines is None else _last_of_each(matches, lines):
        shown.print(name, line)
    if follow:
        _follow(context.folder, chosen, shown)


def _last_of_each(entries: Iterable[tuple[str, logs.Line]], count: int) -> list[tuple[str, logs.Line]]:
    """The last `count` lines of each log, in the order of their times."""
    last: dict[str, deque[tuple[str, logs.Line]]] = {}
    for entry in entries:
        last.setdefault(entry[0], deque(maxlen=count)).append(entry)
    return sorted((entry for kept in last.values() for entry in kept), key=lambda entry: entry[1].time)


def _follow(folder: ProjectDir, names: Sequence[str], shown: _Shown) -> None:
    """Show new lines, and between them when a process exited, was started again, or gave up."""
    followers = {name: logs.Follower(folder.logs, name, tail=0) for name in names}
    reader = EventReader(folder)
    while True:
        new = [(name, line) for name, follower in followers.items() for line in follower.poll()]
        for name, line in new:
            if shown.matches(line):
                shown.print(name, line)
        for event in reader.poll():
            if event.name in followers and isinstance(event, _TOLD) and not shown.is_filtered:
                shown.tell(event.name, describe(event, starting=False))
        sys.stdout.flush()
        if not new:
            time.sleep(_INTERVAL)


class _Shown:
    """How lines are shown, and which."""

    def __init__(self, names: Sequence[str], pattern: re.Pattern[str] | None, *, timestamps: bool) -> None:
        self._prefixes = Prefixes(names, color=use_color(), alone=len(names) == 1)
        self._pattern, self._timestamps = pattern, timestamps

    @property
    def is_filtered(self) -> bool:
        return self._pattern is not None

    def tell(self, name: str, text: str) -> None:
        """Something about the process that is not its output."""
        for line in pasteable(text).splitlines():
            click.echo(self._prefixes.line(name, f"--- {line}"), color=True)

    def matches(self, line: logs.Line) -> bool:
        return self._pattern is None or self._pattern.search(plain(_text(line))) is not None

    def print(self, name: str, line: logs.Line) -> None:
        stamp = f"{datetime.fromtimestamp(line.time).astimezone():%Y-%m-%dT%H:%M:%S.%f%z} " if self._timestamps else ""
        click.echo(self._prefixes.line(name, stamp + _text(line)), color=True)


def _text(line: logs.Line) -> str:
    return logs.decode(line.data).rstrip("\r\n")


def _choose(names: Sequence[str], names_of_logs: list[str]) -> list[str]:
    """Raises UsageError for a name without a log."""
    if not names:
        return [name for name in names_of_logs if name != EVENT_LOG]
    chosen = []
    for name in names:
        meant = [log for log in names_of_logs if name in (log, type_of(log))]
        if not meant:
            raise unknown_name("log", name, names_of_logs)
        chosen += meant
    return chosen


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep is not None else None
    except re.error as error:
        raise UsageError(
            f"--grep: {grep!r} is not a regular expression: {error}", "put a \\ before special characters"
        ) from None


def _since(since: str | None) -> float | None:
    """Seconds since the epoch."""
    if since is None:
        return None
    ago = _AGO.fullmatch(since.strip())
    if ago:
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(since).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since: {since!r} is not a time",
            f"write 90s, 5m, 2h, or {datetime.now().astimezone() - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        ) from None
