"""What the benchmarks share: tables, free ports, readings from /proc, and leaving nothing behind. Linux only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
MARK = "MIKA_BENCHMARK_MARK"
"""Every process of one measurement carries this variable; so its tree is found although it forks twice."""


class Failed(Exception):  # noqa: N818 - the name of what happened, shown in a table
    """A measurement that could not be made; the text goes into the table."""


def mika() -> list[str]:
    """The command as its users type it, of the environment that runs this benchmark."""
    script = Path(sys.executable).parent / "mika"
    return [str(script)] if script.exists() else [sys.executable, "-m", "mika"]


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(what: str, probe: Callable[[], T | None], timeout: float, step: float = 0.005) -> T:
    """The first truthy answer of `probe`. Raises Failed after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := probe()):
        if time.monotonic() >= deadline:
            raise Failed(f"no {what} within {timeout:g} s")
        time.sleep(step)
    return found


# --- processes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (10^6). PSS counts a page that n processes share as 1/n, USS only what is a process's own."""

    rss: float
    pss: float
    uss: float


def memory(pids: Sequence[int]) -> Memory:
    """Summed over `pids`."""
    sums = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
                name, value = line.split(":")
                if name in sums:
                    sums[name] += int(value.split()[0])
    uss = sums["Private_Clean"] + sums["Private_Dirty"]
    return Memory(sums["Rss"] * 1024 / 1e6, sums["Pss"] * 1024 / 1e6, uss * 1024 / 1e6)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Time on a CPU so far, of each thread: the ticks of /proc/PID/stat (10 ms) are coarse for an idle process."""
    nanoseconds = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9


def alive(pid: int) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def marked(mark: str) -> list[int]:
    """The living processes that carry this mark in their environment."""
    wanted = f"{MARK}={mark}"
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and wanted in environment(pid) and alive(pid)]


def environment(pid: int) -> list[str]:
    """`NAME=value` as it was when the process was started; empty when it is gone or not ours."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def mika_parts(mark: str) -> dict[str, list[int]]:
    """The processes of a running mika: `supervisor`, `guards`, and each service by its name."""
    parts: dict[str, list[int]] = {"supervisor": [], "guards": []}
    for pid in marked(mark):
        given = dict(entry.split("=", 1) for entry in environment(pid) if "=" in entry)
        part = given.get("MIKA_PROCESS") or ("guards" if "MIKA_GUARD" in given else "supervisor")
        parts.setdefault(part, []).append(pid)
    return parts


def reap(mark: str) -> int:
    """Kill whatever carries the mark; returns how many that were."""
    killed: set[int] = set()
    for _ in range(200):
        pids = marked(mark)
        if not pids:
            break
        killed.update(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return len(killed)


@dataclass(slots=True)
class Place:
    """A folder and an environment for one measurement."""

    folder: Path
    mark: str
    env: dict[str, str]

    def run(
        self,
        argv: Sequence[str],
        output: int | IO[bytes] = subprocess.DEVNULL,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program here, in a session of its own, so that a Ctrl-C hits only the benchmark."""
        return subprocess.Popen(
            list(argv),
            cwd=cwd or self.folder,
            env=env or self.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@contextlib.contextmanager
def place(extra: Mapping[str, str] | None = None) -> Iterator[Place]:
    """At the end every process that was started in it is gone, and the folder too."""
    mark = secrets.token_hex(8)
    folder = Path(tempfile.mkdtemp(prefix="mika-benchmark-"))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MIKA_", "TEMPORAL_", "API_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's laptop compiles the program at each start
    try:
        yield Place(folder, mark, env | {MARK: mark, "NO_COLOR": "1", **(extra or {})})
    finally:
        reap(mark)
        shutil.rmtree(folder, ignore_errors=True)


def stop(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT, timeout: float = 30.0) -> float:
    """Signal it and wait; returns the seconds that took. Raises Failed when it does not end."""
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failed(f"did not end within {timeout:g} s of {number.name}") from None
    return time.monotonic() - began


# --- tables ----------------------------------------------------------------------------------------------------------


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Markdown that also reads well in a terminal."""
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (cell.ljust(widths[0]) if not n else cell.rjust(widths[n]) for n, cell in enumerate(cells))
        return "| " + " | ".join([first, *rest]) + " |"

    print(f"\n{title}\n")
    print(line(headers))
    print(
        "|" + "|".join("-" * (width + 2) if not n else "-" * (width + 1) + ":" for n, width in enumerate(widths)) + "|"
    )
    for row in rows:
        print(line(row))
    sys.stdout.flush()


def spread(values: Sequence[float], digits: int = 2) -> list[str]:
    """Median, smallest and largest, as cells."""
    if not values:
        return ["-", "-", "-"]
    return [f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))]


def machine() -> str:
    """What the figures depend on, without naming the machine."""
    uname = os.uname()
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{uname.sysname} {uname.machine}, {cores} cores, Python {sys.version.split()[0]}, load before {load:.1f}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
