"""`mika logs`."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime, timedelta

import click

from mika.cli.context import Context
from mika.cli.screen.relay import Prefixes, plain
from mika.errors import UsageError
from mika.project import logs
from mika.project.logs import EVENT_LOG
from mika.text import unknown_name

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, None: 1}
_STEP = 0.1


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
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
    known = logs.names(folder) if folder.is_dir() else []
    for path in logs.no_files(folder):
        click.echo(f"mika: {path} is no file and is passed over: remove it", err=True)
    chosen = _choose(names, known)
    pattern = _pattern(grep)
    began = _since(since)
    prefixes = Prefixes(chosen, color=_color(), alone=len(chosen) == 1)
    for name, line in logs.read_merged(folder, chosen, tail=lines, since=began):
        _print(prefixes, name, line, pattern, timestamps=timestamps)
    if follow:
        followers = {name: logs.Follower(folder, name, tail=0) for name in chosen}
        while True:
            found = [(name, line) for name, follower in followers.items() for line in follower.poll()]
            for name, line in found:
                _print(prefixes, name, line, pattern, timestamps=timestamps)
            sys.stdout.flush()
            if not found:
                time.sleep(_STEP)


def _choose(names: tuple[str, ...], known: list[str]) -> list[str]:
    if not names:
        return [name for name in known if name != EVENT_LOG]
    chosen = []
    for name in names:
        found = [one for one in known if name in (one, one.partition(".")[0])]
        if not found:
            raise unknown_name("log", name, known)
        chosen += found
    return chosen


def _print(
    prefixes: Prefixes, name: str, line: logs.Line, pattern: re.Pattern[str] | None, *, timestamps: bool
) -> None:
    text = logs.decode(line.data).rstrip("\r\n")
    if pattern is None or pattern.search(plain(text)):
        stamp = f"{datetime.fromtimestamp(line.time).astimezone():%Y-%m-%dT%H:%M:%S.%f%z} " if timestamps else ""
        click.echo(prefixes.line(name, stamp + text), color=True)


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep is not None else None
    except re.error as error:
        raise UsageError(
            f"--grep: {grep!r} is no regular expression: {error}", "put a \\ before special characters"
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
            f"--since: {since!r} is no time",
            f"write 90s, 5m, 2h, or {datetime.now().astimezone() - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        ) from None


def _color() -> bool:
    context = click.get_current_context()
    return sys.stdout.isatty() if context.color is None else context.color
