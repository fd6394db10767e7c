"""Is a port free, and if not: who has it?"""

from __future__ import annotations

import contextlib
import errno
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mika.errors import UsageError

_ANY = ("0.0.0.0", "::")


def check_free(host: str, port: int, variable: str) -> None:
    """Raise UsageError naming the program that has `host:port`, and the variable that moves ours elsewhere."""
    if is_free(host, port):
        return
    found = owner(host, port)
    stop = f"`mika -C {shown(found.stack)} down` ends it" if found and found.stack else "stop that program"
    raise UsageError(
        f"port {port} ({variable}) is taken by {told(found)}",
        f"{stop}, or set {variable} to another port (in .env: {variable}={port + 1})",
        code="port_taken",
    )


def told(found: Listener | None) -> str:
    """Who has a port, for a sentence; with the folder of the stack that it belongs to."""
    if found is None or not found.pid:
        return "another program"
    return f"{found} of the stack in {found.stack}" if found.stack else str(found)


def of_another_stack(host: str, port: int, project: Path) -> Path | None:
    """The folder of the stack that has the port, where that is not `project`."""
    found = owner(host, port)
    if found is None or found.stack is None:
        return None
    return None if found.stack.is_dir() and found.stack.samefile(project) else found.stack


def shown(folder: Path) -> str:
    """As it is typed in a shell."""
    if sys.platform == "win32":
        return f'"{folder}"' if set(str(folder)) & set(" &()^;,=") else str(folder)
    return shlex.quote(str(folder))


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


def owner(host: str, port: int) -> Listener | None:
    """Who listens on that port at that address, which may be one of another machine."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return None
    every = addresses.intersection(_ANY)
    for connection in _listening():
        at = connection.laddr
        if at.port == port and (every or at.ip in _ANY or at.ip in addresses):
            return _listener(port, connection.pid)
    return None


def listeners() -> dict[int, Listener]:
    """By port; where several listen on one, that of the loopback address. Blocks for some milliseconds."""
    found: dict[int, Listener] = {}
    for connection in _listening():
        port = connection.laddr.port
        if port not in found or found[port].pid is None:
            found[port] = _listener(port, connection.pid)
    return found


def _listening() -> list[Any]:
    """The OS's entries, in an order that does not depend on the run."""
    import psutil

    try:
        found = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr]
    except (psutil.Error, OSError):
        return []
    return sorted(found, key=lambda one: (one.laddr.ip not in ("127.0.0.1", "::1", *_ANY), one.laddr.ip, one.pid or 0))


def _listener(port: int, pid: int | None) -> Listener:
    import psutil

    if not pid:
        return Listener(port)
    name, cwd, stack = "", None, None
    command: tuple[str, ...] = ()
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        name = process.name()
        command = tuple(process.cmdline())
        cwd = Path(process.cwd())
        stack = _stack(process.environ(), cwd)
    return Listener(port, pid, name or "?", command, cwd, stack)


def _stack(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The folder of the stack whose mark a process carries."""
    if "MIKA_RUN_ID" not in environ:
        return None
    if beat := environ.get("MIKA_BEAT_FILE"):
        return Path(beat).parents[2]
    return next((folder for folder in (cwd, *cwd.parents) if (folder / ".mika").is_dir()), cwd)
