"""What this machine knows: who listens where, and whether a process lives. And a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on a port. Empty fields: another user's, so that the OS does not tell."""

    port: int
    pid: int | None = None
    name: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    cwd: Path | None = None
    supervised: bool = False
    """By some project's `mika`."""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else "a program of another user"


def listeners() -> dict[int, Listener]:
    """By port. Blocks for some milliseconds."""
    import psutil

    found: dict[int, Listener] = {}
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return {}
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            port, pid = connection.laddr.port, connection.pid
            if port not in found or found[port].pid is None:
                found[port] = Listener(port, pid) if not pid else _listener(port, pid)
    return found


def _listener(port: int, pid: int) -> Listener:
    import psutil

    name, cwd, supervised = "", None, False
    command: tuple[str, ...] = ()
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        name = process.name()
        command = tuple(process.cmdline())
        cwd = Path(process.cwd())
        supervised = "MIKA_RUN_ID" in process.environ()
    return Listener(port, pid, name or "?", command, cwd, supervised)


def process_state(pid: int) -> str:
    """`gone`, `stopped` (suspended) or an empty string for one that may work."""
    import psutil

    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "gone"
    except (psutil.Error, OSError):
        return ""
    if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return "gone"
    return "stopped" if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else ""


def is_this_machine(host: str) -> bool:
    return host in (socket.gethostname(), socket.getfqdn())


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


async def in_thread(work: Callable[[], T]) -> T:
    """Like asyncio.to_thread, but the end of the program does not wait for it: a name lookup may hang for minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may itself be None

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as failure:  # noqa: BLE001 - it is raised where it is awaited
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    return await future


def writable(folder: Path) -> bool:
    """Whether files can be made there, or, where it does not exist yet, whether it could be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
