"""A throw-away project, the real `mika` on it, and an eye on what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import psutil
from mika.control.client import Client
from mika.machine import ports
from mika.project import logs
from mika.project.folder import ProjectDir

from tests.kit.machine import DEADLINE, POSIX, ROOT, FreePort, poll_until, telling
from tests.kit.reaper import has_mark
from tests.kit.runs import SHOWN, Result, Running, can_run_here, run_here

PORTS = ("TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT")

# What would reach the stack from the environment of whoever runs the tests. The marks of coverage must stay.
FOREIGN = (
    "MIKA_",
    "TEMPORAL_",
    "WORKFLOW_",
    "MONGODB_",
    "LLM_",
    "LANGBOT_",
    "API_",
    "WEBHOOK_",
    "OPENAI_",
    "NO_COLOR",
    "FORCE_COLOR",
    "UV_RUN_",
)
_MARK = "KIT_MARK"
_STEP = 0.1  # s between two looks at a status: each costs 4 ms of CPU, half of them of the stack that is waited for


def bots_rules(procfile: str | bytes) -> str:
    """The `pyproject.toml` that says when the bot's processes are ready, as that of the repository does."""
    text = procfile.decode() if isinstance(procfile, bytes) else procfile
    rules = {"api": "http://$API_HOST:$API_PORT/healthz", "worker": "worker:$TEMPORAL_TASK_QUEUE"}
    names = [name for name in rules if re.search(rf"^{name}:", text, re.MULTILINE)]
    return "".join(f'[tool.mika.process.{name}]\nready = "{rules[name]}"\n' for name in names)


# --- a project --------------------------------------------------------------------------------------------------------


@dataclass
class Project:
    """A folder with a Procfile. Leaving the context stops its stack, and fails when any process of it is left.

    `scripts` are Python programs for the folder: `{"web": "..."}` becomes `web.py` and the entry `web: python web.py`,
    unless `procfile` says otherwise. `keep` leaves the folder in place.
    """

    parent: Path
    procfile: str | bytes | None = None
    scripts: dict[str, str] = field(default_factory=dict)
    toml: str = ""
    env: dict[str, str] = field(default_factory=dict)
    name: str = "project"
    backend: str = "none"
    patience: float = 3.0  # s; a supervisor that has freed its lock still needs a moment to end

    def __post_init__(self) -> None:
        self.folder = self.parent / self.name
        self.folder.mkdir(parents=True)
        self._ports = {name: FreePort() for name in PORTS}
        self.ports = {name: port.number for name, port in self._ports.items()}
        self._mark = uuid.uuid4().hex
        self._foreground: list[Running] = []
        for name, code in self.scripts.items():
            self.write(f"{name}.py", code)
        if self.procfile is None:
            self.procfile = "".join(f"{name}: python {name}.py\n" for name in self.scripts)
        self.write("Procfile", self.procfile)
        if self.toml:
            self.write("mika.toml", self.toml)
        if self.backend != "none" and (rules := bots_rules(self.procfile)):
            self.write("pyproject.toml", rules)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def environ(self, **extra: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        env |= {"PYTHONPATH": path, "MIKA_BACKEND": self.backend, "MIKA_LANG": "en"}
        env |= {name: str(port) for name, port in self.ports.items()} | {_MARK: self._mark} | self.env | extra
        scripts = str(Path(sys.executable).parent)  # as after `activate`, so that hints say `mika`
        return env | {"PATH": os.pathsep.join(filter(None, [scripts, env.get("PATH")]))}

    # --- the command -------------------------------------------------------------------------------------------------

    @property
    def _cwd(self) -> Path:
        """Where a hint needs no -C; the parent, if a test has deleted the folder."""
        return self.folder if self.folder.is_dir() else self.parent

    def _command(self, args: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-P", "-m", "mika", "-C", str(self.folder), *args]

    def mika(
        self,
        *args: str,
        timeout: float = 60.0,
        env: dict[str, str] | None = None,
        stdin: str = "",
        process: bool | None = None,
    ) -> Result:
        """Run `mika -C FOLDER ARGS` to its end. Fails when that takes longer than `timeout` s.

        As a `process` of its own, or in this one. By default only `up` without `-d` gets one: it may supervise.
        """
        if process is None:
            process = ("up" in args and "-d" not in args) or not can_run_here()
        began = time.monotonic()
        run = self._in_a_process if process else self._here
        try:
            code, *output = run(args, self.environ(**(env or {})), stdin.encode(), timeout)
        except subprocess.TimeoutExpired as late:
            text = ((late.output or b"") + (late.stderr or b"")).decode("utf-8", "replace")
            raise AssertionError(f"`mika {' '.join(args)}` still runs after {timeout} s:\n{text[-SHOWN:]}") from None
        out, err = (text.decode("utf-8", "replace").replace("\r\n", "\n") for text in output)
        result = Result(args, code, out, err, time.monotonic() - began)
        assert "this is a fault of mika" not in result.text, str(result)
        return result

    def _here(
        self, args: tuple[str, ...], env: dict[str, str], stdin: bytes, timeout: float
    ) -> tuple[int, bytes, bytes]:
        argv = ["-C", str(self.folder), *args]
        try:
            return run_here(argv, cwd=self._cwd, env=env, stdin=stdin, timeout=timeout)
        finally:
            if POSIX and "up" in args:
                self._reap_supervisor()

    def _reap_supervisor(self) -> None:
        """As init would: `mika up -d` exits and leaves its supervisor to init, but this process stays its parent."""
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if "--serve" in child.cmdline():
                    threading.Thread(target=_reap, args=(child.pid,), daemon=True).start()

    def _in_a_process(
        self, args: tuple[str, ...], env: dict[str, str], stdin: bytes, timeout: float
    ) -> tuple[int, bytes, bytes]:
        done = subprocess.run(
            self._command(args),
            cwd=self._cwd,
            env=env,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def start_mika(
        self, *args: str, env: dict[str, str] | None = None, stdout: IO[bytes] | int | None = None
    ) -> Running:
        """Run `mika ARGS` beside the test; reaped at the end of the context."""
        file = self.parent / f"{self.name}-{len(self._foreground)}.out"
        with file.open("wb") as output:
            popen = subprocess.Popen(
                self._command(args),
                cwd=self._cwd,
                env=self.environ(**(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=subprocess.STDOUT if stdout is None else output,
                start_new_session=POSIX,  # Ctrl-C of whoever runs the tests goes to pytest alone
            )
        running = Running(popen, file, f"`mika {' '.join(args)}`")
        self._foreground.append(running)
        return running

    def up(self, *args: str, timeout: float = 90.0) -> Result:
        """`mika up -d`, which must succeed."""
        result = self.mika("up", "-d", *args, timeout=timeout)
        assert result.code == 0, str(result)
        return result

    def ok(self, *args: str, **options: Any) -> Result:
        """A command that must succeed; options as of `mika`."""
        result = self.mika(*args, **options)
        assert result.code == 0, str(result)
        return result

    def error(self, *args: str, code: int, **options: Any) -> Result:
        """Run a command that must fail with `code`, in one line and perhaps a hint, and without a traceback."""
        result = self.mika(*args, **options)
        assert result.code == code, str(result)
        assert "Traceback" not in result.err, str(result)
        assert re.fullmatch(r"(.*\n)*mika: .+\n(      .+\n)*", result.err) or "--json" in args, str(result)
        return result

    # --- what is there -----------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What `mika status --json` prints, without a process for it. Raises MikaError as that does."""
        return Client(ProjectDir(self.folder)).status().as_json()

    def unit(self, name: str) -> dict[str, Any]:
        """The entry of one process or service in the status."""
        found = self.status()
        return {unit["name"]: unit for unit in (*found["services"], *found["processes"])}[name]

    def pid(self, name: str) -> int:
        return self.unit(name)["pid"]

    def wait_unit(
        self, name: str, what: str, condition: Callable[[dict[str, Any]], object], timeout: float = DEADLINE
    ) -> dict[str, Any]:
        """The entry of `name` as soon as `condition` holds for it."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.unit(name))
            return bool(condition(seen))

        with telling(lambda: f"last status of {name}: {seen}\n{self.log_tail()}"):
            poll_until(look, timeout, f"{name}: {what}", _STEP)
        return seen

    def wait_state(self, name: str, state: str, timeout: float = DEADLINE) -> dict[str, Any]:
        return self.wait_unit(name, f"state {state}", lambda unit: unit["state"] == state, timeout)

    def wait_replaced(self, name: str, pid: int, timeout: float = DEADLINE) -> dict[str, Any]:
        """The entry of `name` when another process than `pid` is ready."""
        return self.wait_unit(
            name,
            f"ready with another pid than {pid}",
            lambda unit: unit["state"] == "ready" and unit["pid"] not in (None, pid),
            timeout,
        )

    def wait_ready(self, timeout: float = DEADLINE) -> dict[str, Any]:
        poll_until(lambda: self.status()["state"] == "ready", timeout, "the stack is ready", _STEP)
        return self.status()

    def log(self, name: str) -> str:
        """All that is kept of a process's output."""
        found = logs.segments(self.folder / ".mika" / "logs", name)
        return b"".join(segment.path.read_bytes() for segment in found).decode("utf-8", "replace")

    def log_tail(self, lines: int = 15) -> str:
        folder = self.folder / ".mika" / "logs"
        tails = []
        for path in sorted(folder.glob("*.log")):
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            tails += [f"--- {path.name}", *last]
        return "\n".join(tails)

    def events(self, kind: str, name: str | None = None) -> list[dict[str, Any]]:
        """Events of the log `mika`, of one kind."""
        lines = [json.loads(line) for line in self.log("mika").splitlines() if line.endswith("}")]
        return [line for line in lines if line["kind"] == kind and name in (None, line["name"])]

    def alive(self, script: str = "") -> list[psutil.Process]:
        """Every process that this project's commands have started, whoever its parent is now; or those of a script."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(psutil.Error, OSError):
                if not has_mark(pid, f"{_MARK}={self._mark}"):
                    continue
                if (process := psutil.Process(pid)).status() == psutil.STATUS_ZOMBIE:
                    continue
                if not script or process.cmdline()[-1:] == [script]:  # empty while it exits
                    found.append(process)
        return found

    def assert_gone(self, timeout: float = 5.0) -> None:
        """Nothing of this project runs any more. The supervisor itself may need a moment after it freed its lock."""
        deadline = time.monotonic() + timeout
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, f"left behind: {'; '.join(map(_describe, left))}"

    def assert_ports_free(self) -> None:
        taken = {
            name: ports.describe_listener(ports.find_listener("127.0.0.1", port))
            for name, port in self.ports.items()
            if not ports.is_free("127.0.0.1", port)
        }
        assert not taken

    # --- the end -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        complaint = ""
        try:
            complaint = self._stop()
        except AssertionError as failure:  # `mika down` hangs
            complaint = str(failure)
        finally:
            left = self._kill_all()
            for port in self._ports.values():
                port.release()
        if left:
            complaint += f"\nleft behind after `mika down`: {'; '.join(left)}"
        if error is not None:
            if isinstance(error, Exception):
                error.add_note(f"{complaint}\n{self.log_tail()}".strip())
            return
        assert not complaint, complaint
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self) -> str:
        for running in self._foreground:
            if running.popen.poll() is None:
                if POSIX:
                    running.send(signal.SIGCONT)
                running.popen.terminate()
        complaint = ""
        if (self.folder / ".mika" / "run").is_dir():
            result = self.mika("down", "--timeout", "20", timeout=60)
            complaint = "" if result.code == 0 else str(result)
        for running in self._foreground:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.popen.wait(15)
        deadline = time.monotonic() + self.patience
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        return complaint

    def _kill_all(self) -> list[str]:
        """Kill what is left and say what it was; until nothing appears any more."""
        told = {process.pid: _describe(process) for process in self.alive()}
        deadline = time.monotonic() + 10
        while (left := self.alive()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=0.5)
        for running in self._foreground:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.popen.kill()
                running.popen.wait(5)
        return list(told.values())


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _describe(process: psutil.Process) -> str:
    try:
        return f"pid {process.pid} {' '.join(process.cmdline())[:150]} ({process.status()}, parent {process.ppid()})"
    except psutil.Error:
        return f"pid {process.pid}"
