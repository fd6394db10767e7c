"""Within Windows: a console that keeps what is written to it, and in which keys are pressed.

Wine's console understands no escapes. So it is told to treat no character as a control: each takes one cell of a very
large buffer, in the order in which they were written, and whoever reads that has what a terminal would have got.
"""

from __future__ import annotations

import ctypes
import msvcrt
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from ctypes import wintypes

_WIDTH, _HEIGHT = 1000, 2000  # cells; what is more would scroll away
_WRAP = 2  # the only mode of the output that is needed; what it is by default, 1, obeys CR and LF
_WINDOWS_OWN = 0x1F7  # of the input: a line with an echo and insertion, and Ctrl-C is a signal
_KEY_EVENT = 1
_REST_OF_ROW = re.compile(" {200,}")
"""Enter, in a line that is typed: the console itself goes to the next row."""

kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)


class _Info(ctypes.Structure):
    _fields_ = (
        ("size", wintypes._COORD),
        ("cursor", wintypes._COORD),
        ("attributes", wintypes.WORD),
        ("window", wintypes.SMALL_RECT),
        ("largest", wintypes._COORD),
    )


class _Record(ctypes.Structure):
    _fields_ = (
        ("kind", wintypes.DWORD),
        ("is_down", wintypes.BOOL),
        ("count", wintypes.WORD),
        ("key", wintypes.WORD),
        ("scan", wintypes.WORD),
        ("character", wintypes.WORD),
        ("modifiers", wintypes.DWORD),
    )


class Console:
    """That of this process. One program at a time runs in it."""

    def __init__(self) -> None:
        self._in, self._out = (os.open(name, os.O_RDWR | os.O_BINARY) for name in ("CONIN$", "CONOUT$"))
        self._keys, self._cells = (wintypes.HANDLE(msvcrt.get_osfhandle(fd)) for fd in (self._in, self._out))
        self._survive = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda event: 1)  # Ctrl-C is for the program
        kernel32.SetConsoleCtrlHandler(self._survive, True)
        self._program: subprocess.Popen[bytes] | None = None
        self._read = 0

    def start(
        self, command: Sequence[str], cwd: str, env: Mapping[str, str], columns: int, rows: int, piped: bool
    ) -> None:
        """Run `python.exe COMMAND` in it, as one who has just opened it would. `piped`: its output goes elsewhere."""
        for mode, handle in ((_WINDOWS_OWN, self._keys), (_WRAP, self._cells)):
            _check(kernel32.SetConsoleMode(handle, mode))
        kernel32.SetConsoleScreenBufferSize(self._cells, wintypes._COORD(_WIDTH, _HEIGHT))
        begin, done = wintypes._COORD(0, 0), wintypes.DWORD()
        _check(kernel32.SetConsoleCursorPosition(self._cells, begin))
        kernel32.FillConsoleOutputCharacterW(self._cells, ord(" "), _WIDTH * _HEIGHT, begin, ctypes.byref(done))
        _check(kernel32.FlushConsoleInputBuffer(self._keys))
        self.resize(columns, rows)
        self._read = 0
        self._program = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            env={**os.environ, **env},
            stdin=self._in,
            stdout=subprocess.PIPE if piped else self._out,
            stderr=subprocess.STDOUT,
        )

    def resize(self, columns: int, rows: int) -> None:
        window = wintypes.SMALL_RECT(0, 0, columns - 1, rows - 1)
        _check(kernel32.SetConsoleWindowInfo(self._cells, True, ctypes.byref(window)))

    def press(self, keys: Sequence[tuple[int, int, int]]) -> None:
        """Each is the number of the key, the character that it makes, and what is held with it."""
        events = [(down, *key) for key in keys for down in (True, False)]
        records = (_Record * len(events))(
            *(_Record(_KEY_EVENT, down, 1, key, 0, character, held) for down, key, character, held in events)
        )
        _check(kernel32.WriteConsoleInputW(self._keys, records, len(records), ctypes.byref(wintypes.DWORD())))

    def written(self) -> str:
        """All that was written since it was last asked; into a pipe, all at once when it has ended."""
        if self._program is None:
            return ""
        if self._program.stdout is not None:
            return self._program.stdout.read().decode("cp1252") if self._program.poll() is not None else ""
        info = _Info()
        _check(kernel32.GetConsoleScreenBufferInfo(self._cells, ctypes.byref(info)))
        count = info.cursor.Y * _WIDTH + info.cursor.X - self._read
        if count <= 0:
            return ""
        text, got = ctypes.create_unicode_buffer(count + 1), wintypes.DWORD()
        begin = wintypes._COORD(self._read % _WIDTH, self._read // _WIDTH)
        _check(kernel32.ReadConsoleOutputCharacterW(self._cells, text, count, begin, ctypes.byref(got)))
        self._read += got.value
        return _REST_OF_ROW.sub("\r\n", text[: got.value])

    def understands_escapes(self) -> bool:
        mode = wintypes.DWORD()
        _check(kernel32.GetConsoleMode(self._cells, ctypes.byref(mode)))
        return bool(mode.value & 4)

    def exit_code(self) -> int | None:
        assert self._program is not None
        return self._program.poll()

    def kill(self) -> None:
        assert self._program is not None
        self._program.kill()
        self._program.wait()
        self._program = None


def _check(worked: int) -> None:
    if not worked:
        raise ctypes.WinError(ctypes.get_last_error())
