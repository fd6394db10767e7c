"""Output: two services write 500 000 lines of 100 bytes each, as fast as they are let, to a terminal and to a file.

    python -m benchmarks.relay
    python -m benchmarks.relay --lines 100000 --tool mika --tool honcho

The terminal is a pseudo-terminal whose other end this benchmark reads as fast as it can. `written` is when the services
were rid of their lines, `complete` when the last byte was on the terminal or in the file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, tools
from benchmarks.common import Failed, Place
from benchmarks.tools import Plan, Tool

NAMES = ("one", "two")
LINE = 100
QUIET = 3.0
"""Seconds without a new byte after which no more are expected."""
_SKIPPED = re.compile(rb"\.\.\. (\d+) lines skipped")


@dataclass(frozen=True, slots=True)
class Result:
    """Rates in lines a second. `skipped`: not shown, and the tool says so; `lost`: not there, and nobody says so."""

    tool: str
    to: str
    written: float
    complete: float
    shown: int
    lost: int
    skipped: int
    remark: str = ""


class Sink:
    """Where the tool's own output goes: a terminal that is read all the time, or a file."""

    def __init__(self, place: Place, *, terminal: bool) -> None:
        self._path = place.folder / "output"
        self._pieces: list[bytes] = []
        self.size, self.last = 0, 0.0
        self.terminal = terminal
        if terminal:
            self._master, self.descriptor = pty.openpty()
            termios.tcsetwinsize(self.descriptor, (24, 80))
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        else:
            self.descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end open any more
            while data := os.read(self._master, 65536):
                self._pieces.append(data)
                self.size += len(data)
                self.last = time.monotonic()

    def poll(self) -> int:
        """Bytes so far."""
        if not self.terminal:
            size = self._path.stat().st_size
            if size != self.size:
                self.size, self.last = size, time.monotonic()
        return self.size

    def close(self) -> bytes:
        os.close(self.descriptor)
        if not self.terminal:
            return self._path.read_bytes()
        self._thread.join(5)
        os.close(self._master)
        return b"".join(self._pieces)


def make_input(place: Place, name: str, lines: int) -> bytes:
    filler = b"." * (LINE - len(f"<{name} {0:08d}>\n"))
    data = b"".join(b"<%s %08d>%s\n" % (name.encode(), number, filler) for number in range(lines))
    (place.folder / f"{name}.input").write_bytes(data)
    return data


def measure(tool: Tool, lines: int, *, terminal: bool) -> list[Result]:
    with common.place() as place:
        inputs = {name: make_input(place, name, lines) for name in NAMES}
        writer = Path(__file__).with_name("writer.py")
        argv = {name: [sys.executable, "-I", "-S", str(writer), str(place.folder), name] for name in NAMES}
        plan = tool.plan(place.folder, argv)
        place.env |= plan.env
        sink = Sink(place, terminal=terminal)
        process = place.run(plan.argv, sink.descriptor)
        try:
            for name in NAMES:
                common.wait_for(f"start of {name}", (place.folder / f"{name}.there").exists, 30)
            time.sleep(0.5)  # what it says at its start is over
            (place.folder / "go").touch()
            times = follow(place, plan, sink, 2 * lines * LINE)
        finally:
            end(place, plan, process)
            output = sink.close()
        return judge(tool, plan, inputs, output, times, terminal=terminal)


@dataclass(slots=True)
class Times:
    """Monotonic clock; `shown` and `logged` are when the last byte came."""

    began: float = 0.0
    written: float = 0.0
    shown: float = 0.0
    logged: float = 0.0


def follow(place: Place, plan: Plan, sink: Sink, expected: int) -> Times:
    """Return when the services are rid of their lines, the logs have them, and the output has fallen silent."""
    done = [place.folder / f"{name}.done" for name in NAMES]
    times, logged = Times(), -1
    deadline = time.monotonic() + 240
    while True:
        now = time.monotonic()
        shown = sink.poll()
        size = sum(sizes(plan.logs))
        if size != logged:
            logged, times.logged = size, now
        if not times.written and all(path.exists() for path in done):
            times.began, times.written = began_and_ended(done)
        if times.written:
            # A log is complete at an exact size; what prefixes do to the output is unknown, so it must fall silent.
            logs_end = not plan.logs or logged >= expected or now - max(times.logged, times.written) > QUIET
            times.shown = sink.last
            if logs_end and (not plan.shows or now - max(times.shown, times.written) > QUIET):
                return times
        if now > deadline:
            raise Failed(f"not finished after 240 s ({max(shown, logged) / 1e6:.0f} MB came through)")
        time.sleep(0.002)


def began_and_ended(done: list[Path]) -> tuple[float, float]:
    times = [tuple(map(float, path.read_text(encoding="ascii").split())) for path in done]
    return min(began for began, _ in times), max(ended for _, ended in times)


def sizes(logs: Mapping[str, Path]) -> list[int]:
    found = []
    for path in logs.values():
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


def end(place: Place, plan: Plan, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(Failed):
        if plan.stop:
            place.run(plan.stop).wait(20)
        common.stop(process, timeout=20)
    common.reap(place.mark)


def judge(
    tool: Tool, plan: Plan, inputs: Mapping[str, bytes], output: bytes, times: Times, *, terminal: bool
) -> list[Result]:
    lines = sum(data.count(b"\n") for data in inputs.values())
    written = lines / (times.written - times.began)
    stored = {name: path.read_bytes() if path.exists() else b"" for name, path in plan.logs.items()}
    same = stored == inputs
    results = []
    if plan.shows:
        shown = sum(numbers(name, output) for name in inputs)
        skipped = sum(map(int, _SKIPPED.findall(output)))
        to = "terminal" if terminal else "its output, a file"
        rate = lines / (times.shown - times.began)
        # What the tool itself says must not count as a loss, nor hide one.
        remark = "logs byte-identical" if stored and same else ""
        results.append(Result(tool.name, to, written, rate, shown, lines - shown - skipped, skipped, remark))
    if plan.logs and not terminal:
        lost = lines - sum(numbers(name, stored[name]) for name in inputs)
        remark = "byte-identical" if same else "not byte-identical"
        rate = lines / (times.logged - times.began)
        results.append(Result(tool.name, "its log files", written, rate, lines - lost, lost, 0, remark))
    return results


def numbers(name: str, data: bytes) -> int:
    """How many different, whole lines of a service are in there."""
    pattern = re.compile(rb"<%s (\d{8})>\.{%d}\r?\n" % (name.encode(), LINE - len(f"<{name} {0:08d}>\n")))
    return len(set(pattern.findall(data)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=500_000, help="of each of the two services")
    parser.add_argument("--tool", action="append", default=[], help="only this one (may be repeated)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(common.machine())
    rows = []
    for terminal in (True, False):
        for tool in tools.present(options.tool):
            found = rows_of(tool, options.lines, terminal=terminal)
            rows += found
            for row in found:
                common.say("  ".join(row))
    headers = ["tool", "to", "written, lines/s", "complete, lines/s", "there", "skipped and said so", "lost", "remark"]
    common.table(f"2 services, {options.lines:,} lines of {LINE} bytes each", headers, rows)
    print(f"\n{tools.absent()}")


def rows_of(tool: Tool, lines: int, *, terminal: bool) -> list[list[str]]:
    try:
        found = measure(tool, lines, terminal=terminal)
    except (Failed, OSError) as error:
        return [[tool.name, "terminal" if terminal else "file", "-", "-", "-", "-", "-", str(error)]]
    return [
        [
            r.tool,
            r.to,
            f"{r.written:,.0f}",
            f"{r.complete:,.0f}",
            f"{r.shown:,}",
            f"{r.skipped:,}",
            f"{r.lost:,}",
            r.remark,
        ]
        for r in found
    ] or [[tool.name, "terminal", "-", "-", "-", "-", "-", "prints nothing of its services"]]


if __name__ == "__main__":
    main()
