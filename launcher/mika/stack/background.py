"""Run the supervisor in a background process, which outlives the terminal (`mika up -d`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mika.errors import FAILED, MikaError
from mika.project.folder import ProjectDir, write_private
from mika.wording import _, packed, unpacked

ALREADY_UP = "already_up"
"""Code of the error when two `up -d` started at once and this one was slower. Its parent attaches to the other one."""
_REPORT = "up-"
"""The start of a report's name; the pid of the command that waits for it follows."""
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mika.cli.main import main; main()"
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


def own_command(arguments: Sequence[str]) -> list[str]:
    """A command line for this installation of mika, whatever modules are in the current folder."""
    return [sys.executable, "-P", "-c", _BOOT, _PACKAGE_ROOT, *arguments]


class Background:
    """The background process, and the file in which it reports why it could not start."""

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
        """The error that it wrote to the report file before it exited."""
        code = self._process.returncode
        try:
            error = unpacked(json.loads(self._report.read_text(encoding="utf-8")))
            failure = MikaError(error["message"], error["hint"], code=error["code"])
        except (OSError, ValueError, KeyError):
            failure = MikaError(
                _("the supervisor exited with code {code} without a reason", code=code),
                _("`mika up` without -d shows more"),
            )
        failure.exit_code = code if code > 0 else FAILED
        return failure

    def delete_report(self) -> None:
        self._report.unlink(missing_ok=True)


def start(folder: ProjectDir, words: Sequence[str], warn: Callable[[str], None]) -> Background:
    """Start `mika up` with the arguments `words` in the background.

    `warn` is called if the process may not outlive this session. Raises OSError if it cannot be started.
    """
    report = folder.run / f"{_REPORT}{os.getpid()}.json"
    _delete_old_reports(folder.run)
    report.touch(mode=0o600)  # the background process writes to it only if it exists
    try:
        command = own_command(["-C", str(folder.project), "up", "--serve", str(report), *words])
        process = _start_detached(command, warn)
    except OSError:
        report.unlink()
        raise
    return Background(process, report)


def is_wanted(report: Path) -> bool:
    """Whether the command that started this background process still waits for it.

    It deletes the report when it has attached to another stack; if it was killed, the report is left.
    """
    starter = int(report.stem.removeprefix(_REPORT))
    if sys.platform != "win32":
        return report.exists() and os.getppid() == starter  # a killed one keeps its pid until its own parent reaps it
    import psutil

    return report.exists() and psutil.pid_exists(starter)


@contextlib.contextmanager
def reported_to(report: Path | None) -> Iterator[None]:
    """Write an error to the file that `Background.failure` reads: a background process has no standard error.

    Without a `report`, the error is raised.
    """
    try:
        yield
    except Exception as error:
        if report is None:
            raise
        failure = error if isinstance(error, MikaError) else _unexpected(error)
        fields: dict[str, object] = {"message": failure.message, "hint": failure.hint, "code": failure.code}
        if report.exists():  # otherwise the parent process has exited
            write_private(report, json.dumps(packed(fields)))
        sys.exit(failure.exit_code)


def _unexpected(error: Exception) -> MikaError:
    return MikaError(_("unexpected {type}: {error}", type=type(error).__name__, error=error))


def _delete_old_reports(folder: Path) -> None:
    """Delete the reports of `up -d` processes that were killed."""
    import psutil

    for report in folder.glob(f"{_REPORT}*.json"):
        pid = report.stem.removeprefix(_REPORT)
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):
            report.unlink(missing_ok=True)


class _Detached(subprocess.Popen[bytes]):
    def __del__(self) -> None:
        """Without the warning of subprocess: this one is meant to run on."""


def _start_detached(command: list[str], warn: Callable[[str], None]) -> subprocess.Popen[bytes]:
    def popen(creation_flags: int = 0) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        return _Detached(
            command,
            stdin=null,
            stdout=null,
            stderr=null,
            creationflags=creation_flags,
            start_new_session=sys.platform != "win32",
        )

    if sys.platform == "win32":
        # With its own hidden console, it does not exit when this console is closed. It also leaves the job of an IDE or
        # SSH session, if that job allows it. If not (ERROR_ACCESS_DENIED), it may be killed with that session.
        try:
            return popen(subprocess.CREATE_NO_WINDOW | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:
            warn(_("the stack may stop when this session ends, because the session does not let processes leave it"))
            return popen(subprocess.CREATE_NO_WINDOW)
    return popen()
