"""A fork: it costs a millisecond, and both stay in the process group that the shell puts into the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

if sys.platform != "win32":
    import resource

    _PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _LEAVE = signal.SIGUSR1
    _HELD_BACK = (*_PASSED_ON, _LEAVE, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT)

    class Waiter:
        """The parent process. `signals`: a pipe that brings the numbers of those it gets."""

        def __init__(self, pid: int, signals: int) -> None:
            self._pid, self._signals = pid, signals

        def listen(self, signalled: Callable[[int], None], gone: Callable[[], None]) -> None:
            """Call `signalled` on the running event loop with each signal that it gets, and `gone` if it was killed.

            A signal for the whole process group, such as that of Ctrl-C, comes here as well.
            """
            loop = asyncio.get_running_loop()

            def read() -> None:
                numbers = os.read(self._signals, 100)
                for number in numbers:
                    signalled(number)
                if not numbers:
                    loop.remove_reader(self._signals)
                    gone()

            loop.add_reader(self._signals, read)

        def leave(self) -> None:
            """Leave the terminal to the shell, whose process exits with 0. For the thread of the event loop."""
            asyncio.get_running_loop().remove_reader(self._signals)
            os.close(self._signals)
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.close(null)
            if os.getppid() == self._pid:
                os.kill(self._pid, _LEAVE)

    def begin() -> Waiter:
        """Returns in a new process; this one waits for it, and never returns."""
        reader, writer = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        child = os.fork()
        if child:
            os.close(reader)
            _wait(child, writer)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Waiter(pid, reader)

    def _wait(child: int, signals: int) -> NoReturn:
        def pass_on(number: int, _: FrameType | None) -> None:
            with contextlib.suppress(OSError):  # it has just exited
                os.write(signals, bytes([number]))

        for number in _PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, pass_on)
        signal.signal(_LEAVE, lambda *_: os._exit(0))
        # It may want to tidy the terminal up first, so what becomes of it is waited for.
        signal.signal(signal.SIGQUIT, lambda *_: None)
        signal.signal(signal.SIGTSTP, lambda *_: None)
        signal.signal(signal.SIGCONT, lambda *_: os.kill(child, signal.SIGCONT))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
        while True:
            _pid, status = os.waitpid(child, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                os.kill(os.getpid(), signal.SIGSTOP)
                continue
            if os.WIFSIGNALED(status):
                _die_of(os.WTERMSIG(status))
            os._exit(os.waitstatus_to_exitcode(status))

    def _die_of(number: int) -> None:
        """The shell says "Killed", as if it had been its own child."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there is one dump of it, or none
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
