"""What a terminal (or a pipe) sees of the logs: prefixed lines, in the order in which they came.

It follows the log files, so a slow or stopped terminal blocks nobody and costs no memory. A pipe or a file gets every
line; only a terminal that cannot keep up skips, and then it is told how many lines.

A terminal may have a line pinned to its bottom: it is erased before each block of lines, and drawn again after it.
Above it stands what a program is still writing to a line that it rewrites (CR), as progress bars do.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from mika.cli.language import shown
from mika.cli.log_filter import LogFilter
from mika.cli.screen.colours import NAMES, paint
from mika.cli.screen.selection import Selection, marked, pattern_of
from mika.cli.screen.wakeup import Wakeup
from mika.cli.screen.width import fitted, pad
from mika.cli.screen.width import width as columns_of
from mika.project import logs
from mika.text import plain
from mika.wording import _

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty

TERMINAL_BEHIND = 256 * 1024
"""Bytes that a terminal may be behind before it skips."""
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
"""Seconds between two looks at quiet logs: short after a line, longer when nothing happens, for the battery's sake."""
_STUCK = 3.0
"""Seconds without progress after which a reader that takes nothing is left alone, at the end."""
_ERASE = "\r\x1b[2K\x1b[J"
"""The line itself first: at the top of the screen, tmux would move what `J` erases into its history."""
_BAR = "\x1b[7m{}\x1b[0m"
"""In reverse video: no colour, readable on any background."""
_PINNED = "\x1b[?7l{}\x1b[?7h\r"
"""Without wrapping, and with the cursor at the beginning of the first row: a terminal that is made narrower may wrap
them, and takes the cursor along."""
_PROGRESS_ROWS = 5
"""At most; a terminal can only be redrawn if all of it fits."""
_PROGRESS_PAUSE = 0.1  # s, between two looks while a program rewrites its line
_BLOCK = 4096  # characters that a terminal is given at a time
_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
"""The terminal then says what is pasted, so that none of it is taken for a key."""

Pinned = Callable[[int], str]
"""The line at the bottom, for so many columns."""


class Prefixes:
    """`worker | ` before each line, coloured by name."""

    def __init__(self, names: Sequence[str], *, color: bool, alone: bool = False) -> None:
        self._color = color
        width = max(map(columns_of, names), default=0)
        self._prefixes: dict[str, str] = {}
        for number, name in enumerate(names):
            text = "" if alone else f"{pad(name, width)} | "
            self._prefixes[name] = paint(text, NAMES[number % len(NAMES)]) if color else text

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
        self._selection = Selection(is_pretty=pretty is not None)
        self._filter, self._find = LogFilter(), pattern_of("")
        self._pin: Pinned | None = None
        self._drawn: tuple[str, ...] = ()  # the rows that stand at the bottom now
        self._drawn_width = 0
        self._followers = {name: logs.Follower(folder, name, tail=0) for name in names}
        self._messages: deque[str] = deque()
        self._logs_on, self._logs_shown = threading.Event(), False
        self._ending, self._cut = threading.Event(), threading.Event()
        self._wake = Wakeup()  # there is something to print now, so the pause is over
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

    @property
    def selection(self) -> Selection:
        return self._selection

    @property
    def pretty(self) -> Pretty | None:
        """What makes lines readable now, if anything does."""
        return self._pretty

    def choose(self, selection: Selection, pretty: Pretty) -> None:
        """From now on these lines; `pretty` makes them if they are to be readable."""
        self._selection, self._find = selection, pattern_of(selection.find)
        self._filter = LogFilter(level=selection.level)
        self._pretty = pretty if selection.is_pretty else None

    def pin(self, pinned: Pinned | None) -> None:
        """Keep this line at the bottom of the terminal, from the next moment on; None: nothing."""
        # It is looked at twice a second, whether anything has changed or not.
        self._pin = functools.lru_cache(maxsize=1)(pinned) if pinned is not None else None
        self._wake.set()

    def wait_unpinned(self, timeout: float) -> None:
        """Wait until nothing is pinned; a terminal that takes nothing is waited for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self._drawn and time.monotonic() < deadline:
            time.sleep(0.005)

    def close(self, *, at_once: bool = False) -> None:
        """Print what is left. A reader that takes nothing for a while is left alone: it must not hold up a stop.

        `at_once`: no more of the logs, also if a slow terminal is far behind.
        """
        if at_once:
            self._logs_on.clear()
            self._cut.set()
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
            printed = self._print_some()
            redrawn = self._redraw()
            if printed:
                pause = _FIRST_PAUSE
            elif redrawn:
                pause = _PROGRESS_PAUSE
            elif is_ending:
                self._print_rest()
                return
            else:
                pause = _FIRST_PAUSE if self._wake.wait(pause) else min(1.5 * pause, _LAST_PAUSE)

    def _print_some(self) -> bool:
        """The logs first: what a process wrote last stands before the event that says how it exited."""
        logs_on = self._logs_on.is_set()
        wrote = False if self._logs_shown else self._print_messages()  # what was said before they were switched on
        self._logs_shown = logs_on
        said = len(self._messages)  # a later one may be about lines that this look at the logs does not see yet
        for name, follower in self._followers.items() if logs_on else ():
            if follower.is_at_end():
                continue
            if self._selection.only not in ("", name):
                follower.skip_to_end_if_behind(0)
                continue
            text = ""
            if self._terminal and (skipped := follower.skip_to_end_if_behind(TERMINAL_BEHIND)):
                told = _("... {count} lines skipped here: `mika logs {name}` has them", count=skipped, name=name)
                text = self._prefixes.line(name, f"{shown(told)}\n")
            if text := text + self._new_lines(name, follower):
                self._write(text)
                wrote = True
        return self._print_messages(said) or wrote

    def _print_messages(self, count: int | None = None) -> bool:
        """All of them, or the first `count`."""
        texts = [self._messages.popleft() + "\n" for _ in range(len(self._messages) if count is None else count)]
        if texts:
            self._write("".join(texts))
        return bool(texts)

    def _new_lines(self, name: str, follower: logs.Follower) -> str:
        if self._pretty is None and self._selection.level is None:
            block = follower.poll_block()
            text = self._prefixes.block(name, decode_block(block)) if block else ""
        else:
            text = "".join(self._line(name, line) for line in follower.poll())
        return marked(text, self._find) if self._find is not None else text

    def _line(self, name: str, line: logs.Line) -> str:
        if self._selection.level is not None and not self._filter.matches(name, line):
            return ""
        return self._as_text(name, line)

    def shown(self, name: str, line: logs.Line) -> str:
        """The line as it is shown now, with a newline at its end; for any thread."""
        text = self._as_text(name, line)
        return marked(text, self._find) if self._find is not None else text

    def _as_text(self, name: str, line: logs.Line) -> str:
        if self._pretty is not None:
            return self._pretty.line(name, line)
        return self._prefixes.line(name, logs.decode(line.data).rstrip("\r") + "\n")

    def _print_rest(self) -> None:
        self._pin = None
        rest = ""
        if self._logs_on.is_set():
            for name, follower in self._followers.items():
                if self._selection.only in ("", name):
                    rest += "".join(self._line(name, line) for line in follower.flush())
        self._write(rest)

    def _write(self, text: str) -> None:
        """Write whole lines, and the pinned one below them."""
        if self._broken:
            return
        rows, width = self._rows()
        before = _ERASE if self._drawn else ""
        modes = "" if bool(rows) == bool(self._drawn) else _PASTE_ON if rows else _PASTE_OFF
        up = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
        shown = _PINNED.format("\n".join([*rows[:-1], _BAR.format(rows[-1])])) + up if rows else ""
        data = before + text + modes + shown
        try:
            if data:
                self._write_out(data)
        except (OSError, ValueError):  # `mika up | head`, or the terminal was closed: the stack does not care
            self._broken, rows = True, ()
        self._drawn, self._drawn_width = rows, width
        self._progress = time.monotonic()

    def _write_out(self, data: str) -> None:
        """For a terminal in blocks: to take a large one may last for seconds, and nobody can take it back."""
        step = _BLOCK if self._terminal else len(data)
        was_cut = self._cut.is_set()
        for start in range(0, len(data), step):
            self._out.write(data[start : start + step])
            self._out.flush()
            if self._cut.is_set() and not was_cut and start + step < len(data):
                self._out.write(f"\x1b[0m\n{_ERASE}\x1b[?7h{_PASTE_OFF}")
                return

    def _redraw(self) -> bool:
        """Draw the pinned rows if they, or the width of the terminal, have changed; returns whether."""
        if self._broken or (self._pin is None and not self._drawn):
            return False
        if self._rows() == (self._drawn, self._drawn_width):
            return False
        self._write("")
        return True

    def _rows(self) -> tuple[tuple[str, ...], int]:
        """What is to stand at the bottom, and the columns of the terminal."""
        pin = self._pin  # may be changed by another thread at any time
        if pin is None:
            return (), 0
        width, height = self._size()
        columns = max(1, width - 1)  # the last one would make some terminals wrap
        rewritten = islice(self._rewritten(columns), max(0, min(_PROGRESS_ROWS, height - 2)))
        return (*rewritten, pin(columns)), width

    def _rewritten(self, columns: int) -> Iterator[str]:
        """The last step of each line that a program is rewriting."""
        for name, follower in self._followers.items() if self._logs_shown else ():
            if b"\r" in follower.unfinished and self._selection.only in ("", name):
                from mika.cli.screen.escapes import for_screen

                step = for_screen(logs.decode(follower.unfinished)).expandtabs().rstrip()
                yield fitted(plain(self._prefixes.line(name, step)), columns)

    def _size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            columns, rows = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return columns or 80, rows or 24


def decode_block(block: bytes) -> str:
    """Lines of one service as text: fast where all of it is UTF-8, line by line where it is not."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = "".join(logs.decode(line) + "\n" for line in block[:-1].split(b"\n"))
    return text.replace("\r\n", "\n")
