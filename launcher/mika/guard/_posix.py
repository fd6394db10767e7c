"""One process tree on Linux: a single-threaded loop, because PR_SET_PDEATHSIG is bound to the thread that forked.

The guard is the subreaper: whatever the service starts, also what calls setsid and forks twice, becomes a child of the
guard at the latest when its own parent ends, and so can be found and killed. The service's leader itself dies with the
guard (PR_SET_PDEATHSIG). On macOS, which has neither, the service's process group is all that can be killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import sys
import time
from contextlib import suppress

from mika.guard.child import (
    DRAIN_SECONDS,
    GIVE_UP_SECONDS,
    READ_SIZE,
    Log,
    Orders,
    check_cwd,
    emit,
    hold_lock,
    start_error,
)

TYPE_CHECKING = False  # see child.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

if sys.platform == "win32":
    raise ImportError("the POSIX half of the guard")

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KILL_INTERVAL = 0.02  # s, between two rounds of SIGKILL


def run(spec: dict[str, Any], orders: Orders) -> None:
    lock = hold_lock(spec["lock"], _try_lock)
    check_cwd(spec["cwd"])
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    # Handlers and not SIG_IGN: exec gives the service the default action again for what has a handler. It may have
    # been started with SIGINT ignored (`mika up &` in a script), and Python would then never see a KeyboardInterrupt.
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    tree = _Tree(spec)
    with selectors.DefaultSelector() as selector:
        selector.register(tree.output, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        for order in spec["orders"]:
            tree.obey(order)
        while not tree.gone:
            ready = {key.fd for key, _ in selector.select(tree.wait_seconds())}
            if tree.output in ready and not tree.copy():
                selector.unregister(tree.output)
            if wake_read in ready:
                with suppress(BlockingIOError):
                    os.read(wake_read, READ_SIZE)
            if 0 in ready:
                data = os.read(0, READ_SIZE)
                for order in orders.feed(data):
                    tree.obey(order)
                if not data:  # the supervisor is dead
                    selector.unregister(0)
                    tree.stop_at(time.monotonic() + spec["linger"], spec["grace"])
            if asked:
                asked.clear()
                tree.stop(spec["grace"])
            tree.advance()
    tree.drain()
    emit("gone", left=tree.left)
    if lock:
        lock.close()


class _Tree:
    """The service's processes, from the first to the last."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.gone = False
        self.left: list[int] = []
        self._log = Log(spec)
        self._stop_signal = signal.Signals[spec["stop_signal"]]
        self._leader_ended = False
        self._stop_at = self._term_at = self._kill_at = self._give_up_at = float("inf")  # time.monotonic()
        self._grace = 0.0
        self.output, self._leader = _spawn(spec)
        os.set_blocking(self.output, False)
        emit("started", pid=self._leader, pgid=self._leader)

    def obey(self, order: dict[str, Any]) -> None:
        if order["op"] == "stop":
            self.stop(order["grace"])
        elif order["op"] == "kill":
            self._kill_at = 0.0

    def stop(self, grace: float) -> None:
        """Ask the whole tree to end within `grace` seconds. A later call can only shorten that."""
        first = self._kill_at == float("inf")
        now = time.monotonic()
        self._kill_at = min(self._kill_at, now + grace)
        # Some ignore SIGINT: what a shell started with `&` does. They get a little time with SIGTERM.
        self._term_at = min(self._term_at, self._kill_at - min(2.0, grace / 4))
        if first:
            self._signal(self._stop_signal)
            self._signal(signal.SIGCONT)  # a suspended process cannot hear the other one

    def stop_at(self, due: float, grace: float) -> None:
        """Stop at that monotonic time, unless it is stopped before."""
        self._stop_at, self._grace = due, grace

    def advance(self) -> None:
        """Reap, and do what is due."""
        if self._reap():
            self.gone = True
            return
        now = time.monotonic()
        if now >= self._stop_at:
            self._stop_at = float("inf")
            self.stop(self._grace)
        if now >= self._kill_at:
            if self._give_up_at == float("inf"):
                self._give_up_at = now + GIVE_UP_SECONDS
            self._signal(signal.SIGKILL)
            if now >= self._give_up_at:
                self.left = _descendants()
                self.gone = True
        elif now >= self._term_at:
            self._term_at = float("inf")
            self._signal(signal.SIGTERM)

    def wait_seconds(self) -> float | None:
        if self._give_up_at != float("inf"):
            return _KILL_INTERVAL
        due = min(self._stop_at, self._term_at, self._kill_at)
        if due == float("inf"):
            return None
        # A group that is not ours to reap (macOS) ends without a SIGCHLD.
        return max(0.0, min(due - time.monotonic(), 0.25))

    def copy(self) -> bool:
        """Once from the pipe into the log; False at the end of the output."""
        try:
            data = os.read(self.output, READ_SIZE)
        except BlockingIOError:
            return True
        self._log.write(data)
        return bool(data)

    def drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        with suppress(BlockingIOError):
            while time.monotonic() < deadline and (data := os.read(self.output, READ_SIZE)):
                self._log.write(data)

    def _reap(self) -> bool:
        """Collect what has ended; True when nothing is left of the tree."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return not _group_exists(self._leader)
            if not pid:
                return False
            if pid == self._leader and not self._leader_ended:
                self._leader_ended = True
                emit("exited", code=os.waitstatus_to_exitcode(status))
                if self._kill_at == float("inf"):  # it ended by itself: so must all that it started
                    self._kill_at = 0.0

    def _signal(self, number: signal.Signals) -> None:
        """The group at once, so that no process sees another one end first; then those that left the group."""
        members: list[int] = []
        strays: list[int] = []
        for pid in _descendants():
            with suppress(ProcessLookupError):
                (members if os.getpgid(pid) == self._leader else strays).append(pid)
        # An empty group is not signalled: its number may belong to somebody else by now.
        if members or sys.platform != "linux":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _try_lock(file: BinaryIO) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _spawn(spec: dict[str, Any]) -> tuple[int, int]:
    """Start the service in its own session; returns the read end of its output and its pid.

    By hand and not by subprocess.Popen: that import alone is 2 MB in each guard and a quarter of its start-up time.
    """
    argv: list[str] = spec["command"]
    output, service_output = os.pipe()
    failure, report = os.pipe()  # closed by a successful exec
    prctl = _prctl()
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if prctl is not None:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard:  # the guard was killed between fork and prctl
                os._exit(1)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would hand that on
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(service_output, 1)
            os.dup2(service_output, 2)  # one pipe for both keeps the order of the bytes
            os.chdir(spec["cwd"])
            os.execvpe(argv[0], argv, spec["env"])  # noqa: S606 - a shell only where the command needs one
        except (OSError, ValueError) as error:
            os.write(report, json.dumps([getattr(error, "errno", None), str(error)]).encode())
        finally:
            os._exit(1)
    os.close(service_output)
    os.close(report)
    with open(failure, "rb") as file:  # noqa: PTH123 - a descriptor
        told = file.read()
    if told:
        os.waitpid(pid, 0)
        number, text = json.loads(told)
        raise start_error(argv[0], OSError(number, os.strerror(number)) if number else ValueError(text))
    return output, pid


def _prctl() -> Callable[..., int] | None:
    """Linux's prctl; None where there is none."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    ulong = ctypes.c_ulong
    prctl.argtypes = [ctypes.c_int, ulong, ulong, ulong, ulong]
    return prctl


def _group_exists(group: int) -> bool:
    """For macOS only: a subreaper has no child left exactly when its tree is empty."""
    if sys.platform == "linux":
        return False
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _descendants() -> list[int]:
    """All below this process, parents first. psutil is not at hand: the guard has only the standard library."""
    children: dict[int, list[int]] = {}
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - see segments.py
    except OSError:
        return []
    for entry in entries:
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - see segments.py
                # pid (name, may hold spaces and parentheses) state ppid …
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found += children.get(pid, ())
    return found
