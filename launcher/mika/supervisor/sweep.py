"""Find and stop processes that an earlier run left behind.

A guard leaves nothing behind unless it is killed together with the supervisor; this is the safety net for that case.
`belongings.py` knows which processes are meant.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.project.folder import ProjectDir
from mika.supervisor.belongings import Belongings
from mika.supervisor.survivors import Survivor, identify, recall_trees, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mika.supervisor.belongings import Found

_TERM_SECONDS = 2.0  # between SIGTERM and SIGKILL
_KILL_SECONDS = 10.0
"""How long to keep killing. What was killed first gives back its memory and ends its I/O, for seconds if busy."""
_POLL = 0.02  # s


@frozen
class Swept:
    killed: list[Found]
    left: tuple[Survivor, ...]
    """Processes that could not be killed."""


def own_run_id() -> str:
    """For the processes that a command starts for itself, where no stack runs. Nobody sweeps them while it lives."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"


def _ended(run_ids: Collection[str]) -> list[str]:
    import psutil

    def lives(run_id: str) -> bool:
        owner, dash, _ = run_id.partition("-")
        return bool(dash) and owner.isdecimal() and psutil.pid_exists(int(owner))

    return [run_id for run_id in run_ids if not lives(run_id)]


def sweep(run_ids: Collection[str], recorded: Collection[Survivor] = (), *, patience: float = 12.0) -> Swept:
    """Stop every process of these runs, except this process and its ancestors. Blocks.

    If guards are still stopping their services, wait for them first, for at most `patience` seconds.
    """
    belongings = Belongings(run_ids, recorded)
    deadline = time.monotonic() + patience
    while any(found.is_guard for found in belongings.alive()) and time.monotonic() < deadline:
        time.sleep(_POLL)
    asked = [found for found in belongings.alive() if _signal(found.process.terminate)]
    deadline = time.monotonic() + _TERM_SECONDS
    while _are_alive(asked, belongings) and time.monotonic() < deadline:
        time.sleep(_POLL)
    killed = {found.process.pid: found for found in (*asked, *_kill_all(belongings))}
    left = identify(found.process.pid for found in belongings.alive())
    return Swept([found for pid, found in killed.items() if pid not in {survivor.pid for survivor in left}], left)


def sweep_folder(folder: ProjectDir) -> list[Found]:
    """Stop what earlier runs in this folder left behind, and store what could not be stopped (see `recall`).

    The caller must hold the folder's lock: nothing runs then.
    """
    if not folder.has_leftovers():
        return []
    marks = folder.marks()
    ended = _ended(marks)
    swept = sweep(ended, recall_trees(folder))
    remember(folder, swept.left)
    if not swept.left and ended == marks:  # otherwise what they start from now on has to be found, too
        folder.clear_marks()
    return swept.killed


def leftovers(folder: ProjectDir) -> list[str]:
    """What `sweep_folder` would stop."""
    return [str(found) for found in Belongings(_ended(folder.marks()), recall_trees(folder)).alive()]


def sweep_if_idle(folder: ProjectDir) -> list[Found]:
    """Like `sweep_folder`, but takes the lock itself, and does nothing while a stack runs or starts in the folder."""
    if not folder.has_leftovers():
        return []
    with folder.try_lock() as is_free:
        return sweep_folder(folder) if is_free else []


def kill_tree(belongings: Belongings) -> tuple[Survivor, ...]:
    """Kill all of it. Returns what could not be killed. Blocks."""
    for _ in _kill_all(belongings):
        pass
    return identify(found.process.pid for found in belongings.alive())


def _kill_all(belongings: Belongings) -> Iterator[Found]:
    """Repeat until no process appears any more: a process may start another one before it is killed.

    What refuses to be killed is not waited for.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    refused: set[Found] = set()
    while (alive := set(belongings.alive())) != refused and time.monotonic() < deadline:
        killed = {found for found in alive if _signal(found.process.kill)}
        yield from killed
        refused = alive - killed
        time.sleep(_POLL)


def _are_alive(asked: Collection[Found], belongings: Belongings) -> bool:
    alive = {found.process for found in belongings.alive()}
    return any(found.process in alive for found in asked)


def _signal(send: Callable[[], None]) -> bool:
    """Whether the signal was sent. Safe for reused pids: psutil compares the creation time before it signals."""
    import psutil

    try:
        send()
    except (psutil.Error, OSError):
        return False
    return True
