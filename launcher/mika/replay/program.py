"""Run the command of a worker for a few seconds with the hook inside, and read what the hook reports.

The danger is a command in which the hook does not take effect (`python -I`, a foreign `sitecustomize`): it would be a
live worker beside the one that runs. So whatever has loaded the core of the SDK without having said that it is patched
is killed at once; the core takes longer to make a worker than this looks away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from mika.frozen import frozen
from mika.guard import temporary
from mika.machine.local import in_thread
from mika.project.folder import ProjectDir
from mika.project.logs import decode, read_tail
from mika.replay.lines import Report
from mika.supervisor.guard import Guard, ServiceSpec, StartFailedError
from mika.wording import unpacked

if sys.platform == "win32":
    from mika.replay import _windows as _system
else:
    from mika.replay import _posix as _system

Do = Literal["check", "describe", "call"]
End = Literal["done", "exited", "unhooked", "timeout", "not_started"]

_ORDER, _REPORT = "order.json", "report.jsonl"
_HOOK = Path(__file__).parent / "hook"
_POLL = 0.03  # s
_SETTLE, _PAUSE = 0.7, 0.1
"""Seconds without a new line after which no other worker is expected. `_PAUSE`: all known queues have theirs."""
_RESERVE = 0.5
"""Seconds before the end of its time at which the hook reports what it has."""
_OUTPUT_BYTES = 4 << 20
_NOT_INHERITED = ("MIKA_BEAT_FILE", "TEMPORAL_DEBUG")
"""The beat is the live worker's; without the deadlock detector an endless loop would take all of the time."""


@frozen(kw_only=True)
class Order:
    """What the hook is to do. See `hook/mika_inside/`."""

    do: Do
    open: int = 200
    """How many open runs to replay at most, and (`closed`) how many of the last closed ones."""
    closed: int = 0
    seconds: float = 3.0
    """How long to replay. One run of each shape is replayed in any case."""
    of_a_shape: int = 5
    """How many runs with the same steps to replay."""
    locate_each: bool = False
    """Find the point for a reset of each run, not only of one with the same steps."""
    only: tuple[tuple[str, str], ...] = ()
    """(workflow id, run id) of the runs to replay, in place of those that are found."""
    histories: tuple[str, ...] = ()
    """Files with recorded histories, in place of those of the server."""
    offline: bool = False
    """There is no server."""
    call: Mapping[str, object] | None = None
    """What to call. See `hook/mika_inside/starting.py`."""


@frozen
class Outcome:
    """`end` is why the program was ended: `done`, `exited`, `unhooked`, `timeout`, or `not_started`."""

    report: Report
    end: End
    seconds: float
    last_lines: tuple[str, ...] = ()
    """Of its output, where it ended by itself."""
    detail: str = ""
    """Why it could not be started."""


def with_hook(env: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment with the hook in front of everything else on its PYTHONPATH, and what `more` tells the hook."""
    path = os.pathsep.join(filter(None, (str(_HOOK), env.get("PYTHONPATH"))))
    return {**env, "PYTHONPATH": path, **more}


async def run_inside(
    spec: ServiceSpec, folder: ProjectDir, order: Order, *, queues: Collection[str] = (), timeout: float = 10.0
) -> Outcome:
    """Run `spec` with the hook until the workers of `queues` have reported (empty: until no other worker appears).

    `timeout` is in seconds. Nothing is left of the program afterwards, also if this is cancelled.
    """
    folder.create()
    _remove_abandoned(folder)
    place = folder.run / f"check-{os.getpid()}-{secrets.token_hex(4)}"  # the guard makes it
    reader, began = _Reader(place / _REPORT), time.monotonic()
    report = reader.report
    try:
        try:
            guard = await Guard.start(_hooked(spec, place, {**asdict(order), "limit": timeout - _RESERVE}))
        except StartFailedError as error:
            return Outcome(report, "not_started", time.monotonic() - began, detail=str(error.reason))
        try:
            end = await _until_reported(guard, reader, frozenset(queues), began + timeout)
        finally:
            guard.kill()
            await guard.wait()
            reader.read()
        printed = await in_thread(lambda: read_tail(place, spec.name, 5)) if end == "exited" else []
        return Outcome(report, end, time.monotonic() - began, tuple(decode(line.data) for line in printed))
    finally:
        temporary.remove(str(place))


class _Reader:
    """Reads the lines that the hook adds to its file."""

    def __init__(self, path: Path) -> None:
        self.path, self.report, self.last_line = path, Report(), time.monotonic()
        self._position = 0

    def read(self) -> None:
        """Take what is new, up to the last whole line. What the hook did not write is ignored."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                lines, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return
        if not newline:
            return
        self._position += len(lines) + 1
        self.last_line = time.monotonic()
        for line in lines.split(b"\n"):
            with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
                self.report.add(unpacked(json.loads(line)))


async def _until_reported(guard: Guard, reader: _Reader, queues: frozenset[str], deadline: float) -> End:
    """Why the program is to be ended."""
    report, cleared, tree = reader.report, set[int](), _system.Tree(guard.pid)
    while True:
        reader.read()
        if _has_unpatched(tree, reader, cleared):
            return "unhooked"
        if report.answer is not None:
            return "done"
        quiet = time.monotonic() - reader.last_line
        if report.is_finished and quiet > (_PAUSE if queues and queues <= report.replayed_queues() else _SETTLE):
            return "done"
        if guard.exit is not None:
            reader.read()
            return "exited"
        if report.unconnected and not report.workers and quiet > _SETTLE:
            return "timeout"  # it tries again, for longer than anybody wants to wait
        if time.monotonic() > deadline:
            return "done" if report.is_finished else "timeout"
        await asyncio.sleep(_POLL)


def _has_unpatched(tree: _system.Tree, reader: _Reader, cleared: set[int]) -> bool:
    """Whether a process of the tree has the core of the SDK, and no hook. A fork of one that has it is patched, too."""
    patched = reader.report.patched
    for pid, parent in tree.look():
        if pid in patched or pid in cleared:
            continue
        if (parent in patched or parent in cleared) and _system.is_fork(pid, parent):
            cleared.add(pid)
        elif _system.has_core(pid):
            reader.read()  # the hook writes the line before the core is loaded, perhaps just now
            if pid not in patched:
                return True
    return False


def _hooked(spec: ServiceSpec, place: Path, order: Mapping[str, object]) -> ServiceSpec:
    """`spec` with the hook, and with nothing that is the live process's own."""
    env = with_hook(
        {name: value for name, value in spec.env.items() if name not in _NOT_INHERITED},
        MIKA_INSIDE=str(place / _ORDER),
        MIKA_WORKER_IDENTITY=f"mika-check-{secrets.token_hex(4)}",
        MIKA_PROCESS=f"{spec.name}.check",  # what belongs to the live process must not be mistaken for it
        PYTHONUNBUFFERED="1",  # it is killed: what it has said must be in its log
    )
    files = {_ORDER: json.dumps({**order, "report": str(place / _REPORT)})}
    return replace(
        spec, env=env, log_dir=place, log_max_bytes=_OUTPUT_BYTES, temporary=files, stdin="closed", grace=0.0
    )


def _remove_abandoned(folder: ProjectDir) -> None:
    """The folders of checks that were killed together with their guards."""
    import psutil

    for place in folder.run.glob("check-*-*"):
        owner = place.name.split("-")[1]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            temporary.remove(str(place))
