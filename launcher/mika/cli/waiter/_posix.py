"""A fork: it takes the lock along, and both stay in the process group that the shell puts into the foreground."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final, NoReturn

FORKS: Final = True

if sys.platform != "win32":
    import resource

    _LEAVE = signal.SIGUSR1
    _PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT)
    _HEARD = (*_PASSED_ON, _LEAVE, signal.SIGCHLD)
    _PR_SET_PDEATHSIG = 1  # linux/prctl.h
    _DESCRIPTORS = 1024

    class Waiter:
        """The parent process. If it is killed, this one gets a SIGTERM (Linux)."""

        def __init__(self, pid: int) -> None:
            self._pid = pid

        @property
        def can_leave(self) -> bool:
            """Not in a container that ends with the waiter."""
            return self._pid != 1

        def leave_group(self) -> None:
            """From now on neither Ctrl-C nor the end of the terminal is for this process."""
            _set_death_signal(0)
            os.setsid()

        def leave(self) -> None:
            """Leave the terminal to the shell, whose process exits with 0."""
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.close(null)
            if os.getppid() == self._pid:
                os.kill(self._pid, _LEAVE)

    def begin() -> Waiter:
        """Returns in a new process; this one waits for it, and never returns."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.getpid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever has started it may have it ignored: then none comes
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        child = os.fork()
        if child:
            os.closerange(3, _DESCRIPTORS)  # the lock is the child's
            _wait(child)
        _set_death_signal(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if os.getppid() != pid:
            os._exit(1)
        return Waiter(pid)

    def _wait(child: int) -> NoReturn:
        while True:
            number, sender = _next_signal()
            if number == signal.SIGCHLD:
                _pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
                if _pid and os.WIFSTOPPED(status):
                    _stop_by(os.WSTOPSIG(status))
                elif _pid:
                    _end_as(status)
            elif number == _LEAVE and sender in (child, None):
                os._exit(0)
            elif sender != 0 or number == signal.SIGHUP:
                # The terminal's go to the whole group, but its end is told to the leader of the session alone.
                os.kill(child, number)

    def _next_signal() -> tuple[int, int | None]:
        """Its number, and the pid of who has sent it: 0 for the kernel, None where that is not told."""
        if sys.platform == "darwin":
            return signal.sigwait(_HEARD), None
        found = signal.sigwaitinfo(_HEARD)
        return found.si_signo, 0 if found.si_code > 0 else found.si_pid

    def _stop_by(number: int) -> None:
        """As the child was stopped; returns when it is continued."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)

    def _end_as(status: int) -> NoReturn:
        if os.WIFEXITED(status):
            os._exit(os.WEXITSTATUS(status))
        number = os.WTERMSIG(status)  # the shell says "Killed", as if it had been its own child
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there is one dump of it, or none
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # the first process of a container cannot kill itself

    def _set_death_signal(number: int) -> None:
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
