"""What a terminal (or a pipe) sees of the logs: prefixed lines, in the order in which they came.

It follows the log files, so a slow or stopped terminal blocks nobody and costs no memory. A pipe or a file gets every
line; only a terminal that cannot keep up skips, and then it is told how many lines.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from mika.project import logs
from mika.text import plain

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
"""The colours of names, in turn."""
TERMINAL_BEHIND = 256 * 1024
"""Bytes that a terminal may be behind before it skips."""
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
"""Seconds between two looks at quiet logs: short after a line, longer when nothing happens, for the battery's sake."""
_STUCK = 3.0
"""Seconds without progress after which a reader that takes nothing is left alone, at the end."""


class Prefixes:
    """`worker | ` before each line, coloured by name."""

    def __init__(self, names: Sequence[str], *, color: bool, alone: bool = False) -> None:
        self._color = color
        width = max((len(name) for name in names), default=0)
        self._prefixes: dict[str, str] = {}
        for number, name in enumerate(names):
            text = "" if alone else f"{name.ljust(width)} | "
            self._prefixes[name] = click.style(text, fg=COLOURS[number % len(COLOURS)]) if color and text else text

    def line(self, name: str, text: str) -> str:
        prefix = self._prefixes.get(name, f"{name} | ")
        return prefix + (text if self._color else plain(text))

    def block(self, name: str, text: str) -> str:
        """Whole lines, each with its prefix. `text` ends with a newline."""
        prefix = self._prefixes.get(name, f"{name} | ")
        if not self._color:
            text = plain(text)
        return prefix + text[:-1].replace("\n", "\n" + prefix) + "\n"


class Relay:
    """A thread that prints logs and messages. `say` may be called from any thread and never blocks.

    With `pretty`, lines are shown as that makes them; without it their bytes, each line after its name.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        color: bool,
        pretty: Pretty | None = None,
        out: TextIO | None = None,
    ) -> None:
        self._out = out or sys.stdout
        self._terminal = self._out.isatty()
        self._color = color
        self._prefixes = Prefixes(names, color=color)
        self._pretty = pretty
        self._followers = {name: logs.Follower(folder, name, tail=0) for name in names}
        self._messages: deque[str] = deque()
        self._logs_on = threading.Event()
        self._ending = threading.Event()
        self._wake = threading.Event()  # there is something to print now, so the pause is over
        self._broken = False
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        self._messages.append(text if self._color else click.unstyle(text))
        self._wake.set()

    def show_logs(self) -> None:
        """From now on logs are printed too, beginning with what was written since this relay was made."""
        self._logs_on.set()
        self._wake.set()

    def close(self) -> None:
        """Print what is left. A reader that takes nothing for a while is left alone: it must not hold up a stop."""
        self._ending.set()
        self._wake.set()
        self._progress = time.monotonic()
        while self._thread.is_alive() and time.monotonic() - self._progress < _STUCK:
            self._thread.join(0.05)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            is_ending = self._ending.is_set()
            self._wake.clear()  # before the look: what comes after it sets it again
            if self._print_some():
                pause = _FIRST_PAUSE
            elif is_ending:
                self._print_rest()
                return
            else:
                pause = _FIRST_PAUSE if self._wake.wait(pause) else min(1.5 * pause, _LAST_PAUSE)

    def _print_some(self) -> bool:
        wrote = False
        while self._messages:
            self._write(self._messages.popleft() + "\n")
            wrote = True
        if not self._logs_on.is_set():
            return wrote
        for name, follower in self._followers.items():
            if self._terminal:
                skipped = follower.skip_to_end_if_behind(TERMINAL_BEHIND)
                if skipped:
                    self._write(
                        self._prefixes.line(name, f"... {skipped} lines skipped here: `mika logs {name}` has them\n")
                    )
            if text := self._new_lines(name, follower):
                self._write(text)
                wrote = True
        return wrote

    def _new_lines(self, name: str, follower: logs.Follower) -> str:
        if self._pretty is not None:
            return "".join(self._pretty.line(name, line) for line in follower.poll())
        block = follower.poll_block()
        return self._prefixes.block(name, decode_block(block)) if block else ""

    def _print_rest(self) -> None:
        if self._logs_on.is_set():
            for name, follower in self._followers.items():
                for line in follower.flush():
                    if self._pretty is not None:
                        self._write(self._pretty.line(name, line))
                    else:
                        self._write(self._prefixes.line(name, logs.decode(line.data) + "\n"))

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):  # `mika up | head`, or the terminal was closed: the stack does not care
            self._broken = True
        self._progress = time.monotonic()


def decode_block(block: bytes) -> str:
    """Lines of one service as text: fast where all of it is UTF-8, line by line where it is not."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = "".join(logs.decode(line) + "\n" for line in block[:-1].split(b"\n"))
    return text.replace("\r\n", "\n")
