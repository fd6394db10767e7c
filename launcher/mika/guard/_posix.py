"""The guard on Linux and macOS: a single-threaded loop, because PR_SET_PDEATHSIG is bound to the thread that forked.

The guard is a subreaper: every process that the service starts, including daemons that call setsid and fork twice,
becomes a child of the guard when its own parent exits, so the guard can find and kill it. The leader (the service's
first process) dies with the guard (PR_SET_PDEATHSIG). macOS has neither: only the service's process group can be
killed there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import time

from mika.guard.child import (
    DRAIN_SECONDS,
    GIVE_UP_SECONDS,
    READ_SIZE,
    Log,
    RequestReader,
    check_cwd,
    emit,
    hold_lock,
    start_error,
)
from mika.guard.lean import decode, encode, suppress

TYPE_CHECKING = False  # importing `typing` is too expensive here: see child.py
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from typing import Any, BinaryIO

    from mika.guard._terminal import Terminal
else:
    import _signal as signal  # without the enumerations that `signal` makes of it

if sys.platform == "win32":
    raise ImportError("mika.guard._posix does not work on Windows")

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
RLIMIT_LOCKS = 10  # asm-generic/resource.h; Linux has not looked at this limit since 2.4.25
_KILL_INTERVAL = 0.02  # s, between two rounds of SIGKILL


def run(spec: dict[str, Any], requests: RequestReader) -> None:
    """Start the service, run until its whole tree is gone, and report it. Raises StartError or OSError."""
    lock = hold_lock(spec["lock"], _try_lock)
    check_cwd(spec["cwd"])
    wake_read, is_stop_requested = _install_signal_handlers()
    tree = _Tree(spec)
    terminal = tree.terminal
    watched = {0, tree.output, wake_read} | ({terminal.listener.fileno()} if terminal is not None else set())
    for request in spec["requests"]:
        tree.handle(request)
    while not tree.gone:
        ready = select.select(watched, (), (), tree.wait_seconds())[0]
        if tree.output in ready and not tree.copy_output():
            watched.remove(tree.output)
        if terminal is not None and terminal.listener.fileno() in ready:
            terminal.accept()
        if wake_read in ready:
            with suppress(BlockingIOError):
                os.read(wake_read, READ_SIZE)
        if 0 in ready:
            data = os.read(0, READ_SIZE)
            for request in requests.feed(data):
                tree.handle(request)
            if not data:  # the supervisor has died
                watched.remove(0)
                tree.stop_at(time.monotonic() + spec["linger"], spec["grace"])
        if is_stop_requested():
            tree.stop(spec["grace"])
        tree.advance()
    tree.drain()
    if terminal is not None:
        terminal.close()
    emit("gone", survivors=tree.survivors)
    if lock:
        lock.close()


def _install_signal_handlers() -> tuple[int, Callable[[], bool]]:
    """Returns a descriptor that becomes readable on every signal, and whether SIGTERM has arrived since the last call.

    The signals get handlers, not SIG_IGN, because exec resets a handled signal to its default action but lets an
    ignored one stay ignored. This process may have inherited an ignored SIGINT (`mika up &` in a script), and a service
    written in Python would then never see a KeyboardInterrupt.
    """
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    stop_requests = []
    signal.signal(signal.SIGTERM, lambda *_: stop_requests.append(True))
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def is_stop_requested() -> bool:
        requested = bool(stop_requests)
        stop_requests.clear()
        return requested

    return wake_read, is_stop_requested


class _Tree:
    """All processes of the service, from its start until the last one is gone."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.gone = False
        self.survivors: list[int] = []  # pids that SIGKILL did not remove
        self._log = Log(spec)
        self._stop_signal = getattr(signal, spec["stop_signal"], signal.SIGINT)  # SIGBREAK exists on Windows only
        self._leader_exited = False
        self._stop_at = self._term_at = self._kill_at = self._give_up_at = float("inf")  # time.monotonic()
        self._grace = 0.0
        self.terminal = _terminal(spec["terminal"])
        self.output, self._leader = _spawn(spec, self.terminal)
        os.set_blocking(self.output, False)
        emit("started", pid=self._leader)

    def handle(self, request: dict[str, Any]) -> None:
        if request["op"] == "stop":
            self.stop(request["grace"])
        elif request["op"] == "kill":
            self._kill_at = 0.0

    def stop(self, grace: float) -> None:
        """Ask the whole tree to exit; it is killed after `grace` seconds. A later call can only shorten that."""
        is_first = self._kill_at == float("inf")
        now = time.monotonic()
        self._kill_at = min(self._kill_at, now + grace)
        # Some processes ignore SIGINT, such as those that a shell started with `&`. SIGTERM gives them a last chance.
        self._term_at = min(self._term_at, self._kill_at - min(2.0, grace / 4))
        if is_first:
            self._signal(self._stop_signal)
            self._signal(signal.SIGCONT)  # a suspended process does not receive the stop signal otherwise

    def stop_at(self, due: float, grace: float) -> None:
        """Call `stop` at monotonic time `due`, unless the tree is stopped before."""
        self._stop_at, self._grace = due, grace

    def advance(self) -> None:
        """Reap exited processes and take the actions whose time has come."""
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
                self.survivors = _descendants()
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
        # On macOS some processes of the group are not our children, so their exit raises no SIGCHLD: poll for it.
        return max(0.0, min(due - time.monotonic(), 0.25))

    def copy_output(self) -> bool:
        """Copy one chunk from the pipe to the log. Returns False at the end of the output."""
        try:
            data = _read(self.output)
        except BlockingIOError:
            return True
        self._write(data)
        return bool(data)

    def drain(self) -> None:
        """Copy what is left in the pipe, for at most DRAIN_SECONDS."""
        deadline = time.monotonic() + DRAIN_SECONDS
        with suppress(BlockingIOError):
            while time.monotonic() < deadline and (data := _read(self.output)):
                self._write(data)

    def _write(self, data: bytes) -> None:
        self._log.write(data)
        if self.terminal is not None:
            self.terminal.show(data)

    def _reap(self) -> bool:
        """Collect exited children. Returns True when the tree is empty."""
        code, is_empty = None, False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                is_empty = not _group_exists(self._leader)
                break
            if not pid:
                break
            if pid == self._leader and not self._leader_exited:
                self._leader_exited = True
                code = os.waitstatus_to_exitcode(status)
        if code is not None:  # after all of them: what has exited was not left behind
            self._report_exit(code)
        return is_empty

    def _report_exit(self, code: int) -> None:
        is_stopping = self._kill_at != float("inf")
        emit("exited", code=code, left_behind=0 if is_stopping else len(_descendants()))
        if not is_stopping:  # it was not asked to stop: kill everything that it started
            self._kill_at = 0.0

    def _signal(self, number: int) -> None:
        """Signal the group with one call, so that no member sees another one exit first, then processes outside it."""
        members: list[int] = []
        strays: list[int] = []
        for pid in _descendants():
            with suppress(ProcessLookupError):
                (members if os.getpgid(pid) == self._leader else strays).append(pid)
        # Do not signal an empty group: its id may have been reused for a group that is not ours.
        if members or sys.platform != "linux":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _try_lock(file: BinaryIO) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _terminal(address: str | None) -> Terminal | None:
    if address is None:
        return None
    from mika.guard._terminal import Terminal  # only a service that is being debugged needs it

    return Terminal(address)


def _read(output: int) -> bytes:
    """A chunk of output; empty at its end. Raises BlockingIOError."""
    try:
        return os.read(output, READ_SIZE)
    except OSError as error:
        if error.errno == errno.EIO:  # of a terminal: no process has it open any more
            return b""
        raise


def _spawn(spec: dict[str, Any], terminal: Terminal | None) -> tuple[int, int]:
    """Start the service in its own session. Returns the read end of its output and its pid; raises StartError.

    This does not use subprocess.Popen: importing it costs 2 MB in each guard and a quarter of the start-up time.
    """
    argv: list[str] = spec["command"]
    output, service_output = os.pipe() if terminal is None else (terminal.master, terminal.service_end)
    service_input = os.pipe()[0] if spec["stdin"] == "open" else None  # the guard keeps the write end, and never writes
    error_read, error_write = os.pipe()  # a successful exec closes the write end
    prctl = _prctl()
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    guard_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if prctl is not None:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard_pid:  # the guard was killed between fork and prctl
                os._exit(1)
            _carry(spec["mark"] + guard_pid if spec["mark"] else 0)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; exec would keep them ignored
                signal.signal(number, signal.SIG_DFL)
            if terminal is not None:
                os.login_tty(service_output)
            else:
                os.dup2(os.open(os.devnull, os.O_RDONLY) if service_input is None else service_input, 0)
                os.dup2(service_output, 1)
                os.dup2(service_output, 2)  # one pipe for both keeps the order of the bytes
            os.chdir(spec["cwd"])
            os.execvpe(argv[0], argv, spec["env"])  # noqa: S606 - a shell only where the command needs one
        except (OSError, ValueError) as error:
            os.write(error_write, encode({"errno": getattr(error, "errno", None), "text": str(error)}))
        finally:
            os._exit(1)
    os.close(service_output)
    os.close(error_write)
    if service_input is not None:
        os.close(service_input)
    with open(error_read, "rb") as file:  # noqa: PTH123 - a descriptor
        failure = file.read()
    if failure:
        os.waitpid(pid, 0)
        cause = decode(failure)
        number = cause["errno"]
        raise start_error(argv[0], OSError(number, os.strerror(number)) if number else ValueError(cause["text"]))
    return output, pid


def _carry(mark: int) -> None:
    """Mark this process and all its descendants (Linux): they inherit a limit that neither exec nor setsid changes.

    Only the soft limit, so that any of them may change it back. A sandbox may forbid even that.
    """
    if mark and sys.platform == "linux":
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(RLIMIT_LOCKS, (mark, resource.getrlimit(RLIMIT_LOCKS)[1]))


def _prctl() -> Callable[..., int] | None:
    """The prctl of libc; None outside Linux."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    ulong = ctypes.c_ulong
    prctl.argtypes = [ctypes.c_int, ulong, ulong, ulong, ulong]
    return prctl


def _group_exists(group: int) -> bool:
    """Whether the process group still has members. On Linux always False: a subreaper without children has no tree."""
    if sys.platform == "linux":
        return False
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def all_pids() -> list[int]:
    """Of this machine, from /proc, since the guard cannot import psutil. Empty without it."""
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - see segments.py
    except OSError:
        return []


def children_of_all(pids: Iterable[int]) -> dict[int, list[int]]:
    """By the pid of the parent. Only `pids` are looked at."""
    children: dict[int, list[int]] = {}
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - see segments.py
            # pid (name, which may contain spaces and parentheses) state ppid …
            parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
    return children


def descendants(pid: int, children: dict[int, list[int]]) -> list[int]:
    """The pids of all descendants of a process, parents first. `children` is from `children_of_all`."""
    found = list(children.get(pid, ()))
    for child in found:
        found += children.get(child, ())
    return found


def _descendants() -> list[int]:
    return descendants(os.getpid(), children_of_all(all_pids()))
