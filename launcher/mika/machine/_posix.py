"""The listening sockets of a Linux machine, or another that psutil knows."""

from __future__ import annotations

import contextlib
from collections.abc import Collection


def listening_of(pids: Collection[int]) -> list[tuple[str, int, int | None]]:
    """Those of some processes, which costs less than all of them."""
    import psutil

    entries = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            entries += [(pid, entry) for entry in psutil.Process(pid).net_connections("tcp")]
    return [
        (entry.laddr.ip, entry.laddr.port, pid)
        for pid, entry in entries
        if entry.status == psutil.CONN_LISTEN and entry.laddr
    ]


def listening() -> list[tuple[str, int, int | None]]:
    """Address, port and process id of each; the id is None if it belongs to another user. Raises OSError."""
    import psutil

    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error as error:
        raise OSError(str(error)) from error
    return [
        (entry.laddr.ip, entry.laddr.port, entry.pid)
        for entry in connections
        if entry.status == psutil.CONN_LISTEN and entry.laddr
    ]
