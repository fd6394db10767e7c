"""The same command once more, at the same console: Windows has no fork."""

from __future__ import annotations

import _thread
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import Final, NoReturn

FORKS: Final = False

if sys.platform == "win32":
    from ctypes import wintypes

    _NAMES = "_MIKA_WAITER"
    """In the environment of the second process: the first one's pid, and the name of the event that lets it exit."""
    _SYNCHRONIZE, _EVENT_MODIFY_STATE, _INFINITE = 0x00100000, 0x0002, 0xFFFFFFFF
    _CONSOLE_SECONDS = 2.0

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    for _function in (_kernel32.OpenProcess, _kernel32.CreateEventW, _kernel32.OpenEventW):
        _function.restype = wintypes.HANDLE
    _kernel32.SetEvent.argtypes = (wintypes.HANDLE,)
    _kernel32.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)

    class Waiter:
        """The process that has started this one. `event`: the name of that which lets it exit."""

        can_leave = True

        def __init__(self, pid: int, event: str) -> None:
            self._pid, self._event = pid, event
            self._has_left = False
            threading.Thread(target=self._watch, name="waiter", daemon=True).start()

        def _watch(self) -> None:
            """If it is killed, this one gets a SIGTERM, so far as there is such a thing."""
            if process := _kernel32.OpenProcess(_SYNCHRONIZE, False, self._pid):
                _kernel32.WaitForSingleObject(process, _INFINITE)
            if self._has_left:
                return
            if not callable(signal.getsignal(signal.SIGTERM)):
                os._exit(1)
            _thread.interrupt_main(signal.SIGTERM)

        def leave_group(self) -> None:
            """Nothing: what comes from the console ends with it."""

        def leave(self) -> None:
            """Leave the console to the shell, whose process exits with 0."""
            self._has_left = True
            _change_console()
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.close(null)
            if event := _kernel32.OpenEventW(_EVENT_MODIFY_STATE, False, self._event):
                _kernel32.SetEvent(event)

    def begin() -> Waiter:
        """Returns in a new process; the first one waits for it, and never returns."""
        names = os.environ.pop(_NAMES, None)
        if names is None:
            _wait()
        os.environ.pop("__PYVENV_LAUNCHER__", None)
        pid, _, event = names.partition(" ")
        return Waiter(int(pid), event)

    def _wait() -> NoReturn:
        name = f"Local\\mika-{uuid.uuid4().hex}"
        event = _kernel32.CreateEventW(None, True, False, name)
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, signal.SIG_IGN)
        # The python.exe of a virtual environment only starts the real one, and would stay at the console. This is how
        # multiprocessing does without it: https://github.com/python/cpython/blob/main/Lib/multiprocessing/popen_spawn_win32.py
        env = {**os.environ, _NAMES: f"{os.getpid()} {name}", "__PYVENV_LAUNCHER__": sys.executable}
        python: str = getattr(sys, "_base_executable", sys.executable)
        process = subprocess.Popen([python, *sys.orig_argv[1:]], env=env)
        handles = (wintypes.HANDLE * 2)(_kernel32.OpenProcess(_SYNCHRONIZE, False, process.pid), event)
        if _kernel32.WaitForMultipleObjects(2, handles, False, _INFINITE) == 1:
            os._exit(0)
        os._exit(ctypes.c_int(process.wait()).value)

    def _change_console() -> None:
        """To a hidden one, or compose could not be interrupted: that is done by a key of the console it shares with us.

        Windows makes a hidden console only for a new process, and it exists as long as anybody is at it.
        """
        _kernel32.FreeConsole()
        shell = os.environ.get("COMSPEC", "cmd.exe")
        other = subprocess.Popen(
            [shell, "/d", "/c", "set /p _="],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        deadline = time.monotonic() + _CONSOLE_SECONDS
        while not _kernel32.AttachConsole(other.pid) and time.monotonic() < deadline:
            time.sleep(0.01)  # it is not at its console yet
        other.communicate()
