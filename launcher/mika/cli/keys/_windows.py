"""Read keys from a Windows console."""

from __future__ import annotations

import codecs
import ctypes
import os
import sys

_TICK = 250  # ms
_KEY_EVENT = 1
_ALT = 0x0002  # the left one: the right one (AltGr) makes characters
_RECORDS = 64
_TIMED_OUT = 0x102

if sys.platform == "win32":
    import msvcrt
    from ctypes import wintypes

    class _Key(ctypes.Structure):
        _fields_ = (
            ("is_down", wintypes.BOOL),
            ("count", wintypes.WORD),
            ("key", wintypes.WORD),
            ("scan", wintypes.WORD),
            ("character", wintypes.WORD),
            ("modifiers", wintypes.DWORD),
        )

    class _Record(ctypes.Structure):
        """INPUT_RECORD; the other kinds of event are no larger."""

        _fields_ = (("kind", wintypes.WORD), ("key", _Key))

    class Terminal:
        """The console's keys, as events: `msvcrt.getwch` takes an "à" for half an arrow, and Ctrl-C gets lost in it."""

        def __init__(self) -> None:
            self._kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
            self._kernel32.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
            self._kernel32.ReadConsoleInputW.argtypes = (
                wintypes.HANDLE,
                ctypes.POINTER(_Record),
                wintypes.DWORD,
                ctypes.POINTER(wintypes.DWORD),
            )
            self._handle: int | None = None
            self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

        def is_ours(self) -> bool:
            return True  # there are no background jobs

        def take(self) -> None:
            """Nothing: keys are not echoed while nobody reads a line."""

        def give_back(self) -> None:
            """Nothing, as nothing was taken."""

        def resume(self) -> None:
            """Nothing, as nothing was given back."""

        def prepare_thread(self) -> None:
            """Nothing to prepare."""

        def read(self) -> str:
            """What was typed; empty after a moment without a key. Raises OSError if the console is gone."""
            if self._handle is None:  # not before: `mika up <NUL >NUL` may have no console at all
                self._handle = msvcrt.get_osfhandle(os.open("CONIN$", os.O_RDWR | os.O_BINARY))
            if self._kernel32.WaitForSingleObject(self._handle, _TICK) == _TIMED_OUT:
                return ""
            records, count = (_Record * _RECORDS)(), wintypes.DWORD()
            if not self._kernel32.ReadConsoleInputW(self._handle, records, _RECORDS, ctypes.byref(count)):
                raise ctypes.WinError(ctypes.get_last_error())
            return "".join(self._typed(record.key) for record in records[: count.value] if record.kind == _KEY_EVENT)

        def _typed(self, key: _Key) -> str:
            """Empty for a key without a character, and with Alt, as on other terminals."""
            if not key.is_down or not key.character or key.modifiers & _ALT:
                return ""
            return self._decoder.decode(key.character.to_bytes(2, "little") * key.count)
