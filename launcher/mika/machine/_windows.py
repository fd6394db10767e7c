"""The TCP sockets of a Windows machine.

psutil asks for every connection, with the owner of each, and keeps all threads waiting meanwhile: on Wine that takes
seconds where many have been closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import sys
import threading
import time
from collections.abc import Collection
from ctypes import wintypes

if sys.platform == "win32":
    # https://learn.microsoft.com/windows/win32/api/iphlpapi/nf-iphlpapi-getextendedtcptable
    _OWNER_PID_LISTENER, _OWNER_PID_CONNECTIONS = 3, 4
    _SYN_SENT, _ESTABLISHED = 3, 5
    _ERROR_INSUFFICIENT_BUFFER = 122
    _ROOM = 16 * 1024
    """Bytes at first, for hundreds of sockets. To be told the size costs as much as to be told the table."""
    _RECENT = 0.2  # s; a status asks for each process of the stack, and there is one table for all
    _SHARE = 0.02  # of the time, at most, is spent on asking; Wine takes up to seconds, Windows a millisecond
    _PATIENCE = 0.2  # s, of who wants the table

    class _Row4(ctypes.Structure):  # MIB_TCPROW_OWNER_PID
        _fields_ = (
            ("state", wintypes.DWORD),
            ("address", ctypes.c_ubyte * 4),
            ("port", wintypes.DWORD),
            ("remote_address", ctypes.c_ubyte * 4),
            ("remote_port", wintypes.DWORD),
            ("pid", wintypes.DWORD),
        )

    class _Row6(ctypes.Structure):  # MIB_TCP6ROW_OWNER_PID
        _fields_ = (
            ("address", ctypes.c_ubyte * 16),
            ("scope", wintypes.DWORD),
            ("port", wintypes.DWORD),
            ("remote_address", ctypes.c_ubyte * 16),
            ("remote_scope", wintypes.DWORD),
            ("remote_port", wintypes.DWORD),
            ("state", wintypes.DWORD),
            ("pid", wintypes.DWORD),
        )

    def listening() -> list[tuple[str, int, int | None]]:
        """Address, port and process id of each; the id is None if the system does not tell. Raises OSError."""
        return [
            (_text(family, row.address), _port(row.port), row.pid or None) for family, row in _rows(_OWNER_PID_LISTENER)
        ]

    def listening_of(pids: Collection[int]) -> list[tuple[str, int, int | None]]:
        """Those of some processes, as of a moment ago."""
        return [entry for entry in _recent.table() if entry[2] in pids]

    def connections_of(pids: Collection[int]) -> list[tuple[int, tuple[str, int]]]:
        """Own port, and address and port of the peer, of each connection that there is or that is tried.

        Raises OSError.
        """
        return [
            (_port(row.port), (_text(family, row.remote_address), _port(row.remote_port)))
            for family, row in _rows(_OWNER_PID_CONNECTIONS)
            if row.pid in pids and row.state in (_SYN_SENT, _ESTABLISHED)
        ]

    class _Recent:
        """The table as of a moment ago. A thread asks for it: event loops want it, and must not wait for long."""

        def __init__(self) -> None:
            self._until = float("-inf")
            self._asking: threading.Thread | None = None
            self._table: list[tuple[str, int, int | None]] = []

        def table(self) -> list[tuple[str, int, int | None]]:
            """Empty if the system has not told it yet."""
            asking = self._asking
            if (asking is None or not asking.is_alive()) and time.monotonic() > self._until:
                asking = threading.Thread(target=self._ask, name="sockets", daemon=True)
                asking.start()
                self._asking = asking
            if asking is not None:
                asking.join(_PATIENCE)
            return self._table

        def _ask(self) -> None:
            began = time.monotonic()
            with contextlib.suppress(OSError):
                self._table = listening()
            now = time.monotonic()
            self._until = now + max(_RECENT, (now - began) / _SHARE)

    _recent = _Recent()
    """One for all: the table is that of the machine."""

    def _rows(kind: int) -> list[tuple[socket.AddressFamily, _Row4 | _Row6]]:
        tables = ((socket.AF_INET, _Row4), (socket.AF_INET6, _Row6))
        return [(family, row) for family, layout in tables for row in _table(family, layout, kind)]

    def _table(family: socket.AddressFamily, layout: type[_Row4 | _Row6], kind: int) -> list[_Row4 | _Row6]:
        ask = ctypes.WinDLL("iphlpapi").GetExtendedTcpTable
        size, code = wintypes.DWORD(_ROOM), _ERROR_INSUFFICIENT_BUFFER
        buffer = ctypes.create_string_buffer(0)
        while code == _ERROR_INSUFFICIENT_BUFFER:  # or the table has grown since its size was told
            buffer = ctypes.create_string_buffer(size.value)
            code = ask(buffer, ctypes.byref(size), False, int(family), kind, 0)
        if code:
            raise ctypes.WinError(code)
        count = wintypes.DWORD.from_buffer(buffer).value
        return list((layout * count).from_buffer(buffer, ctypes.sizeof(wintypes.DWORD)))

    def _text(family: socket.AddressFamily, address: ctypes.Array[ctypes.c_ubyte]) -> str:
        return socket.inet_ntop(family, bytes(address))

    def _port(number: int) -> int:
        return socket.ntohs(number & 0xFFFF)
