"""Is a port free, and if not: who has it?"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys

from launcher.errors import UsageError


def check_free(host: str, port: int, variable: str) -> None:
    """Raise UsageError naming the program that has `host:port`, and the variable that moves ours elsewhere."""
    if is_free(host, port):
        return
    owner = owner_of(port)
    raise UsageError(
        f"port {port} ({variable}) is taken by {owner or 'another program'}",
        f"stop that program, or set {variable} to another port (in .env: {variable}={port + 1})",
        code="port_taken",
    )


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


def owner_of(port: int) -> str | None:
    """`name (pid N)` of the process that listens on `port`, where the OS tells us."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if not connection.pid:
                    return None
                with contextlib.suppress(psutil.Error, OSError):
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
                return f"pid {connection.pid}"
    return None
