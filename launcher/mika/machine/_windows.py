"""The listening sockets of a Windows machine.

psutil asks for every connection, with the owner of each: on Wine that takes seconds where many have been closed.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Collection
from ctypes import wintypes

if sys.platform == "win32":
    # https://learn.microsoft.com/windows/win32/api/iphlpapi/nf-iphlpapi-getextendedtcptable
    _OWNER_PID_LISTENER = 3
    _ERROR_INSUFFICIENT_BUFFER = 122

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
        return [*_table(socket.AF_INET, _Row4), *_table(socket.AF_INET6, _Row6)]

    def listening_of(pids: Collection[int]) -> list[tuple[str, int, int | None]]:
        """Those of some processes."""
        return [entry for entry in listening() if entry[2] in pids]

    def _table(family: socket.AddressFamily, row: type[_Row4 | _Row6]) -> list[tuple[str, int, int | None]]:
        ask = ctypes.WinDLL("iphlpapi").GetExtendedTcpTable
        size, code = wintypes.DWORD(0), _ERROR_INSUFFICIENT_BUFFER
        buffer = ctypes.create_string_buffer(0)
        while code == _ERROR_INSUFFICIENT_BUFFER:  # the table may have grown since its size was told
            buffer = ctypes.create_string_buffer(size.value)
            code = ask(buffer, ctypes.byref(size), False, int(family), _OWNER_PID_LISTENER, 0)
        if code:
            raise ctypes.WinError(code)
        count = wintypes.DWORD.from_buffer(buffer).value
        rows = (row * count).from_buffer(buffer, ctypes.sizeof(wintypes.DWORD))
        return [
            (socket.inet_ntop(family, bytes(entry.address)), socket.ntohs(entry.port & 0xFFFF), entry.pid or None)
            for entry in rows
        ]
