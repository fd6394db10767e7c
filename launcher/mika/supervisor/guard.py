"""The supervisor's handle on one guard: start a service, receive its events, stop it, and wait until it is gone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mika.errors import MikaError
from mika.frozen import frozen
from mika.guard.lean import decode, encode
from mika.machine.local import require_descriptors
from mika.reason import Reason
from mika.supervisor.belongings import Belongings, run_mark
from mika.supervisor.exits import describe
from mika.supervisor.record import Record
from mika.supervisor.survivors import Survivor, identify
from mika.supervisor.sweep import kill_tree
from mika.wording import Text, _

if sys.platform == "win32":
    from mika.supervisor import _windows as _system
else:
    from mika.supervisor import _posix as _system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mika.config.process_options import Stdin

_BOOT = "import sys; sys.path.append(sys.argv[1]); from mika.guard.child import main; main()"
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


def _guard_file() -> tuple[int, int] | None:
    """Which file a guard runs; None if it is gone."""
    with suppress(OSError):
        file = Path(_PACKAGE_ROOT, "mika", "guard", "child.py").stat()
        return file.st_ino, file.st_mtime_ns
    return None


_OWN_GUARD_FILE = _guard_file()
_START_SECONDS = 30.0  # a guard normally starts in 20 ms; a machine that thrashes needs longer
_REPORT_SECONDS = 8.0
"""How long after the grace period to wait for the report of a guard.

A guard that has not reported by then (because it is suspended, for example) is killed, and its tree is swept.
"""
URGENT_REPORT_SECONDS = 0.7
"""The same after the second Ctrl-C: the user does not want to wait for a report."""
_UNKNOWN_CODE = -9  # the exit code to report when the real one is not known

_HINTS = {
    "not_found": _("install it, or correct the command in the Procfile"),
    "permission": _("correct the command in the Procfile; if it is right, a virus scanner or a policy may block it")
    if sys.platform == "win32"
    else _("make it executable, or correct the command in the Procfile"),
    "cwd": _("correct `cwd` in the configuration"),
    "locked": _("another mika or another program uses it: stop that first"),
    "replaced": _("mika was replaced since this stack was started: `mika down`, then `mika up`"),
}


@frozen(kw_only=True)
class ServiceSpec:
    """How to run a service. `command` is an argument list, or (Windows only) a command line for CreateProcess."""

    name: str
    command: tuple[str, ...] | str
    cwd: Path
    env: Mapping[str, str]  # complete; MIKA_RUN_ID and MIKA_PROCESS in it mark the processes, so they can be found
    log_dir: Path
    log_max_bytes: int = 64 << 20
    temporary: Mapping[str, str] | None = None
    """The guard makes the log folder, with these files (name: text). It removes it if the supervisor dies; otherwise
    that does."""
    lock: Path | None = None  # a file that the guard locks for as long as the tree lives
    stop_signal: str = "SIGINT"
    grace: float = 10.0  # s, between the stop signal and SIGKILL; also when the supervisor dies
    stdin: Stdin = "closed"  # or "open": it never ends, and nothing ever comes
    terminal: str | None = None  # POSIX: run it in a terminal, for which clients connect to this Unix socket; no stdin
    linger: float = 0.0  # s to keep running after the supervisor has died, so that dependents can stop first


@frozen
class Exit:
    """How the service exited. The code is as in subprocess: negative for a signal."""

    code: int
    reason: Reason
    guard_lost: bool = False  # the guard was killed before it reported, so the exit code may be unknown
    survivors: tuple[Survivor, ...] = ()  # processes that could not be killed
    final: bool = False  # a restart cannot help; `reason` says why, and what would


@frozen
class LogFailed:
    """The log cannot be written (disk full). The service keeps running."""

    message: str

    def __str__(self) -> str:
        return _("its log cannot be written: {error}; it keeps running, but its output is lost", error=self.message)


@frozen
class LogRecovered:
    """The log can be written again."""

    lost: int  # bytes

    def __str__(self) -> str:
        return _("its log can be written again; {count} bytes were lost", count=self.lost)


GuardEvent = LogFailed | LogRecovered


class StartFailedError(MikaError):
    """The service could not be started.

    `code` is not_found, permission, cwd, locked, resources, replaced (an upgrade of mika meanwhile) or other.
    """

    def __init__(self, name: str, message: str, *, code: str) -> None:
        super().__init__(_("{name}: {message}", name=name, message=message), _HINTS.get(code, ""), code=code)
        self.reason = Reason(self.message, self.hint)


class Guard:
    """One running service and its guard. Create it with `Guard.start`."""

    def __init__(
        self, spec: ServiceSpec, process: asyncio.subprocess.Process, on_event: Callable[[GuardEvent], None] | None
    ) -> None:
        self.spec = spec
        self.guard_pid = process.pid
        self.pid = 0
        self.record: Record | None = None
        self._process = process
        self._on_event = on_event
        self._code: int | None = None
        self._left_behind = 0
        self._survivor_pids: set[int] | None = None  # set when the guard has reported the end of the tree
        self._exit: Exit | None = None
        self._reader: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._lost_reason = Reason(_("killed because its guard was killed"))
        self._stop_watching: Callable[[], None] = lambda: None

    @classmethod
    async def start(cls, spec: ServiceSpec, on_event: Callable[[GuardEvent], None] | None = None) -> Self:
        """Start a service; returns when it runs. Raises StartFailedError. `on_event` is called from the event loop."""
        try:
            require_descriptors()
            process = await cls._start_guard(spec)
        except OSError as error:  # too many open files or processes, no memory
            text = _("its guard did not start: {error}", error=error.strerror or error)
            raise StartFailedError(spec.name, text, code="resources") from None
        guard = cls(spec, process, on_event)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await guard._start_service()
        except BaseException as error:
            await guard._abandon()
            if isinstance(error, TimeoutError):
                message = _("the guard did not start the service within {seconds:g} s", seconds=_START_SECONDS)
                raise StartFailedError(spec.name, message, code="other") from None
            raise
        guard._reader = asyncio.create_task(guard._read(), name=f"guard of {spec.name}")
        return guard

    @staticmethod
    async def _start_guard(spec: ServiceSpec) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            # On Windows, the executable of a venv only launches the base one, as a second process.
            getattr(sys, "_base_executable", None) or sys.executable,
            "-I",
            "-S",
            "-c",
            _BOOT,
            _PACKAGE_ROOT,
            f"mika-guard {spec.name}",  # shown in process lists
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"MIKA_RUN_ID": spec.env.get("MIKA_RUN_ID", ""), "MIKA_GUARD": spec.name},
            **_platform_options(),
        )

    @property
    def log_dir(self) -> Path:
        return self.spec.log_dir

    @property
    def exit(self) -> Exit | None:
        """None while a process of the tree is alive."""
        return self._exit

    def request_stop(self) -> None:
        """Ask the tree to exit; the guard kills what is left after the grace period.

        A guard that does not report in time is killed, and its tree is swept, so `wait` always returns.
        """
        self._send({"op": "stop", "grace": self.spec.grace})
        self._kill_guard_in(self.spec.grace + _REPORT_SECONDS)

    def kill(self, patience: float = _REPORT_SECONDS) -> None:
        """Kill the whole tree now. If the guard does not report within `patience` seconds, it is killed, too."""
        self._send({"op": "kill"})
        self._kill_guard_in(patience)

    def _kill_guard_in(self, seconds: float) -> None:
        """Kill the guard unless it reports within `seconds`. A later call can only shorten the time."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._exit is not None or (self._deadline is not None and self._deadline.when() <= due):
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = loop.call_at(due, self._kill_guard)

    def _expect_report(self) -> None:
        """The first process of the service has exited: a guard that does not say so is suspended, and is killed."""
        asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._kill_silent_guard)

    def _kill_silent_guard(self) -> None:
        if self._code is None and self._exit is None:
            self._lost_reason = Reason(_("exited, but its guard process did not report it (was it suspended?)"))
            self._kill_guard()

    def _kill_guard(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> Exit:
        """Wait until the tree is empty and all its output is in the log. Any number of tasks may wait."""
        if self._reader is not None:
            await asyncio.shield(self._reader)
        if self._exit is None:
            raise RuntimeError("Guard.wait() before Guard.start()")
        return self._exit

    def _send(self, message: dict[str, Any]) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(encode(message))

    async def _start_service(self) -> None:
        spec = self.spec
        self._send(
            {
                "name": spec.name,
                "command": spec.command,
                "cwd": str(spec.cwd),
                "env": dict(spec.env),
                "log_dir": str(spec.log_dir),
                "log_max_bytes": spec.log_max_bytes,
                "temporary": dict(spec.temporary) if spec.temporary is not None else None,
                "lock": str(spec.lock) if spec.lock else None,
                "stop_signal": spec.stop_signal,
                "grace": spec.grace,
                "stdin": spec.stdin,
                "terminal": spec.terminal,
                "linger": spec.linger,
                "mark": run_mark(spec.env.get("MIKA_RUN_ID", "")),
            }
        )
        import psutil  # noqa: F401  # takes 10 ms, and so does the start of the guard: one of them is free

        match await self._next_event():
            case {"event": "started", "pid": int(pid)}:
                self.pid = pid
                self.record = Record(spec.env.get("MIKA_RUN_ID", ""), self.guard_pid, pid)
                self._stop_watching = _system.watch_exit(pid, self._expect_report)
            case {
                "event": "failed",
                "error": str(kind),
                "message": str(english),
                "text": [str(template), dict(values)],
            }:
                raise StartFailedError(spec.name, Text(english, template, values), code=kind)
            case _:
                code = await self._process.wait()
                message = _("its guard failed to start ({reason})", reason=describe(code))
                is_own = _guard_file() == _OWN_GUARD_FILE
                raise StartFailedError(spec.name, message, code="other" if is_own else "replaced")

    async def _next_event(self) -> dict[str, Any] | None:
        if self._process.stdout is None:
            return None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        event: dict[str, Any] = decode(line)
        return event

    async def _read(self) -> None:
        """Receive events until the guard exits, then set `exit`."""
        while event := await self._next_event():
            match event:
                case {"event": "exited", "code": int(code), "left_behind": int(left_behind)}:
                    # of the service's first process; the rest of the tree may still be alive
                    self._code, self._left_behind = code, left_behind
                case {"event": "log_error", "message": str(message)}:
                    self._report(LogFailed(message))
                case {"event": "log_ok", "lost": int(lost)}:
                    self._report(LogRecovered(lost))
                case {"event": "gone", "survivors": list(survivor_pids)}:
                    self._survivor_pids = set(survivor_pids)
        await self._close()
        if self._deadline is not None:
            self._deadline.cancel()
        guard_lost = self._survivor_pids is None
        if self._survivor_pids is None:
            survivors = await asyncio.to_thread(self._clean_up)
        else:
            survivors = await asyncio.to_thread(identify, self._survivor_pids) if self._survivor_pids else ()
        if self._code is None:
            code, reason = _UNKNOWN_CODE, self._lost_reason
        else:
            code, reason = self._code, Reason(describe(self._code))
        if code == 0 and self._left_behind:
            reason = Reason(
                _(
                    "its first process exited (code 0) and left {count} more running, which were stopped",
                    count=self._left_behind,
                ),
                _("run it in the foreground: without `--daemon`, `-d` or `&`"),
            )
        self._exit = Exit(code, reason, guard_lost=guard_lost, survivors=survivors)

    def _report(self, event: GuardEvent) -> None:
        if self._on_event is not None:  # not called directly: an error in the callback must not stop the reader
            asyncio.get_running_loop().call_soon(self._on_event, event)

    def _clean_up(self) -> tuple[Survivor, ...]:
        """Kill what the service started, after its guard was killed. Returns what could not be killed.

        PDEATHSIG or the Job Object has already killed the service itself.
        """
        env, recorded = self.spec.env, self.record.processes if self.record is not None else ()
        run_ids = {env["MIKA_RUN_ID"]} if env.get("MIKA_RUN_ID") else set()
        name = env.get("MIKA_PROCESS", self.spec.name)
        return kill_tree(Belongings(run_ids, recorded, name=name, guard_pid=self.guard_pid))

    async def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
            with suppress(OSError):
                await self._process.stdin.wait_closed()
        await self._process.wait()
        self._stop_watching()
        if self.record is not None:
            self.record.is_closed = True

    async def _abandon(self) -> None:
        """Clean up after a start that failed or was cancelled: no process may be left behind."""
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPORT_SECONDS):
                await self._process.wait()
        self._kill_guard()
        await self._close()


def _platform_options() -> dict[str, Any]:
    if sys.platform == "win32":
        # The guard gets its own console, without a window: a Ctrl-C for the service must not reach the supervisor.
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
