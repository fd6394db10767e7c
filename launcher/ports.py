"""Is a port free, and if not: who has it?"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import UsageError


def check_free(host: str, port: int, variable: str) -> None:
    """Raise UsageError naming the program that has `host:port`, and the variable that moves ours elsewhere."""
    if is_free(host, port):
        return
    owner = listeners().get(port)
    stop = f"`mika -C {shown(owner.stack)} down` ends it" if owner and owner.stack else "stop that program"
    raise UsageError(
        f"port {port} ({variable}) is taken by {told(owner)}",
        f"{stop}, or set {variable} to another port (in .env: {variable}={port + 1})",
        code="port_taken",
    )


def told(owner: Listener | None) -> str:
    """Who has a port, for a sentence; with the folder of the stack that it belongs to."""
    if owner is None or not owner.pid:
        return "another program"
    return f"{owner} of the stack in {owner.stack}" if owner.stack else str(owner)


def shown(folder: Path) -> str:
    """As it is typed in any shell."""
    return f'"{folder}"' if " " in str(folder) else str(folder)


def is_free(host: str, port: int) -> bool:
    """Whether we could listen there. Raises UsageError where `host` is no address of this machine."""
    family, kind, proto, _, address = _resolve(host, port)
    with socket.socket(family, kind, proto) as probe:
        if sys.platform != "win32":  # on Windows SO_REUSEADDR would let us share a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise UsageError(
                f"{host}:{port}: cannot listen there: {error.strerror or error}",
                "use 127.0.0.1, or an address of this machine",
            ) from None
    return True


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[object, ...]]:
    try:
        family, kind, proto, name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"{host!r} is no address: {error.strerror or error}", "use 127.0.0.1") from None
    return family, kind, proto, name, address


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on a port. Empty fields: another user's, so that the OS does not tell."""

    port: int
    pid: int | None = None
    name: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    cwd: Path | None = None
    stack: Path | None = None
    """The folder of the `mika` that runs it."""

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

    name, cwd, stack = "", None, None
    command: tuple[str, ...] = ()
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        name = process.name()
        command = tuple(process.cmdline())
        cwd = Path(process.cwd())
        if "MIKA_RUN_ID" in process.environ():
            stack = next((folder for folder in (cwd, *cwd.parents) if (folder / ".mika").is_dir()), cwd)
    return Listener(port, pid, name or "?", command, cwd, stack)
