"""A supervisor in a process of its own, which outlives the terminal (`mika up -d`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mika.errors import FAILED, MikaError
from mika.project.folder import ProjectDir, write_private

ALREADY_UP = "already_up"
"""Code of the background process that lost the race of two `up -d` at once: its parent attaches to the winner."""
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mika.cli.main import main; main()"
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


def own_command(arguments: Sequence[str]) -> list[str]:
    """The program that runs now with other arguments, whatever the current folder has by its name."""
    return [sys.executable, "-P", "-c", _BOOT, _PACKAGE_ROOT, *arguments]


class Background:
    """The process, and the file in which it reports why it could not start."""

    def __init__(self, process: subprocess.Popen[bytes], report: Path) -> None:
        self._process, self._report = process, report

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def lost_the_race(self) -> bool:
        return self.failure().code == ALREADY_UP

    def wait(self) -> None:
        self._process.wait()

    def failure(self) -> MikaError:
        """The error that it wrote for us before it exited."""
        code = self._process.returncode
        try:
            error = json.loads(self._report.read_text(encoding="utf-8"))
            failure = MikaError(error["message"], error["hint"], code=error["code"])
        except (OSError, ValueError, KeyError):
            failure = MikaError(
                f"the supervisor exited with code {code} and did not say why", "`mika up` without -d shows more"
            )
        failure.exit_code = code if code > 0 else FAILED
        return failure

    def forget_report(self) -> None:
        self._report.unlink(missing_ok=True)


def start(folder: ProjectDir, words: Sequence[str], warn: Callable[[str], None]) -> Background:
    """Start `mika up` with `words` in the background. `warn` is told where it may not outlive this session."""
    report = folder.run / f"up-{os.getpid()}.json"
    _forget_old_reports(folder.run)
    report.touch(mode=0o600)  # while it is there, somebody reads it
    try:
        command = own_command(["-C", str(folder.project), "up", "--serve", str(report), *words])
        process = _detached(command, warn)
    except OSError:
        report.unlink()
        raise
    return Background(process, report)


@contextlib.contextmanager
def reported_to(report: Path | None) -> Iterator[None]:
    """In the background nobody reads standard error: a failure goes to the file that `Background.failure` reads."""
    try:
        yield
    except Exception as error:
        if report is None:
            raise
        known = error if isinstance(error, MikaError) else MikaError(f"unexpected {type(error).__name__}: {error}")
        if report.exists():  # else whoever asked for the stack has gone
            write_private(report, json.dumps({"message": known.message, "hint": known.hint, "code": known.code}))
        sys.exit(known.exit_code)


def _forget_old_reports(folder: Path) -> None:
    """Of an `up -d` that was killed."""
    import psutil

    for report in folder.glob("up-*.json"):
        pid = report.stem.removeprefix("up-")
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):
            report.unlink(missing_ok=True)


def _detached(command: list[str], warn: Callable[[str], None]) -> subprocess.Popen[bytes]:
    def popen(**options: Any) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=null, stdout=null, stderr=null, **options)

    if sys.platform == "win32":
        # A hidden console of its own: closing this one does not reach it. Out of the job of an IDE or SSH session, too,
        # where that job allows it; where not (ERROR_ACCESS_DENIED), it may end with that session.
        try:
            return popen(creationflags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:
            warn("the stack may end with this session, which does not let processes leave it")
            return popen(creationflags=subprocess.CREATE_NO_WINDOW)
    return popen(start_new_session=True)
