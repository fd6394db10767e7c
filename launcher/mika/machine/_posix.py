"""The listening sockets of a Linux machine, or another that psutil knows."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

# The kernel's own question for sockets in one state; see sock_diag(7).
_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST_ALL = 0x301
_LISTEN = 1 << 10
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, pid
_QUESTION = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; no particular socket
_ANSWER = struct.Struct("=B3x2sxx16s44xI")  # family, port, address, number
_ERROR, _DONE = 2, 3


def listening_of(pids: Collection[int]) -> list[tuple[str, int, int | None]]:
    """Those of some processes, which costs less than all of them."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox without netlink, or processes of another network namespace
            return list(_listening_on_linux(pids))
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


def connections_of(pids: Collection[int]) -> list[tuple[int, tuple[str, int]]]:
    """Own port, and address and port of the peer, of each connection that there is or that is tried. Raises OSError."""
    import psutil

    entries = []
    for pid in pids:
        try:
            entries += psutil.Process(pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.Error as error:
            raise OSError(str(error)) from error
    return [
        (entry.laddr.port, (entry.raddr.ip, entry.raddr.port))
        for entry in entries
        if entry.status in (psutil.CONN_ESTABLISHED, psutil.CONN_SYN_SENT) and entry.raddr
    ]


def _listening_on_linux(pids: Collection[int]) -> Iterator[tuple[str, int, int | None]]:
    """What psutil tells, too; that reads the table of all connections of the machine for each process, which takes tens
    of milliseconds for a status of a stack. Raises OSError if the kernel does not tell.
    """
    addresses: dict[int, tuple[str, int]] | None = None
    own = Path("/proc/self/ns/net").readlink()
    for pid in pids:
        try:
            sockets, namespace = _sockets_of(pid), Path(f"/proc/{pid}/ns/net").readlink()
        except OSError:  # it has ended, or belongs to another user
            continue
        if namespace != own:
            raise OSError(f"process {pid} has a network of its own")
        if not sockets:
            continue
        if addresses is None:
            addresses = dict(_addresses(socket.AF_INET)) | dict(_addresses(socket.AF_INET6))
        yield from ((*addresses[number], pid) for number in sockets if number in addresses)


def _sockets_of(pid: int) -> set[int]:
    """The numbers of its sockets, of any kind."""
    found = set()
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # closed meanwhile
                kind, _, number = os.readlink(entry.path).partition(":")  # noqa: PTH115 - a third of the time
                if kind == "socket":
                    found.add(int(number.strip("[]")))
    return found


def _addresses(family: socket.AddressFamily) -> Iterator[tuple[int, tuple[str, int]]]:
    """The number, and the address and port, of each TCP socket that listens."""
    length = _HEADER.size + _QUESTION.size
    question = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_ALL, 0, 0)
    question += _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _LISTEN)
    netlink: int = getattr(socket, "AF_NETLINK")  # noqa: B009 - types know it for Linux only
    with socket.socket(netlink, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(5)
        kernel.send(question)
        while True:
            told, start = kernel.recv(1 << 16), 0
            while start < len(told):
                length, kind, *_more = _HEADER.unpack_from(told, start)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError("the kernel does not tell which sockets listen")
                version, port, address, number = _ANSWER.unpack_from(told, start + _HEADER.size)
                ip = socket.inet_ntop(version, address[: 4 if version == socket.AF_INET else 16])
                yield number, (ip, int.from_bytes(port, "big"))
                start += (length + 3) & ~3


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
