"""The entry point of a guard process, and what its Linux and Windows implementations share.

Standard library only, and few modules of it: each service has a guard, so every import costs memory once per service.
"""

from __future__ import annotations

import os
import sys

from mika.guard import temporary
from mika.guard.lean import decode, encode, suppress
from mika.guard.segments import SegmentWriter

TYPE_CHECKING = False  # importing `typing` costs 1 MB in each guard; type checkers treat this name specially
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

READ_SIZE = 64 * 1024  # bytes; the capacity of a pipe on Linux
DRAIN_SECONDS = 1.0  # how long to read output after the tree is gone: an escaped process may hold the pipe open
GIVE_UP_SECONDS = 5.0  # after the first SIGKILL; survivors belong to another user or hang in the kernel


class Text:
    """A text as the supervisor makes a `mika.wording.Text` from it: that module would cost memory in each guard."""

    def __init__(self, template: str, values: dict[str, str]) -> None:
        self.template, self.values = template, values

    def __str__(self) -> str:
        return self.template.format_map(self.values)


def _(template: str, /, **values: str) -> Text:
    return Text(template, values)


# ERROR_BAD_EXE_FORMAT, and ERROR_EXE_MACHINE_TYPE_MISMATCH: for another processor
_NO_PROGRAM = (193, 216)


class StartError(Exception):
    """The service could not be started. `code` is not_found, permission, locked, cwd or other."""

    def __init__(self, text: Text, *, code: str) -> None:
        super().__init__(str(text))
        self.text, self.code = text, code


def emit(event: str, **fields: object) -> bool:
    """Send an event to the supervisor; returns whether it is alive. If not, the guard still has to finish its work."""
    try:
        os.write(1, encode({"event": event, **fields}))
    except OSError:
        return False
    return True


class Log:
    """Writes the service's output to its log segments. Each failure and each recovery is reported once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._writer = SegmentWriter(spec["log_dir"], spec["name"], spec["log_max_bytes"])
        self._failing = False

    def write(self, data: bytes) -> None:
        writer = self._writer
        writer.write(data)
        if writer.error and not self._failing:
            self._failing = True
            emit("log_error", message=writer.error)
        elif self._failing and not writer.error:
            self._failing = False
            emit("log_ok", lost=writer.lost)
            writer.lost = 0


class RequestReader:
    """Splits the bytes from standard input into lines and decodes them."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [decode(line) for line in lines if line]


def read_spec(requests: RequestReader) -> dict[str, Any] | None:
    """Read the first line. Requests that arrived together with it are stored in it under `requests`.

    Returns None when the supervisor has already died.
    """
    while True:
        data = os.read(0, READ_SIZE)
        if not data:
            return None
        if lines := requests.feed(data):
            spec, *rest = lines
            spec["requests"] = rest
            return spec


def hold_lock(path: str | None, try_lock: Callable[[BinaryIO], None]) -> BinaryIO | None:
    """Take an exclusive lock, which the process holds until it exits. Raises StartError when another process has it."""
    if path is None:
        return None
    try:
        with suppress(FileExistsError):  # the folder alone: the project may have been deleted
            os.mkdir(os.path.dirname(path))  # noqa: PTH102, PTH120 - see segments.py
        file = open(path, "ab")  # noqa: PTH123, SIM115 - as above; stays open until this process exits
    except OSError as error:
        raise StartError(_("{path}: {error}", path=path, error=error.strerror or ""), code="other") from error
    try:
        try_lock(file)
    except OSError as error:
        raise StartError(_("{path} is in use by another process", path=path), code="locked") from error
    return file


def check_cwd(path: str) -> None:
    if not os.path.isdir(path):  # noqa: PTH112 - see segments.py
        raise StartError(_("{path}: no such folder", path=path), code="cwd")


def start_error(program: str, error: Exception) -> StartError:
    if isinstance(error, FileNotFoundError) and os.path.isfile(program):  # noqa: PTH113 - see segments.py
        with suppress(OSError), open(program, "rb") as file:  # noqa: PTH123 - as above
            first_line = file.readline(100)
            text = _(
                "{program}: its first line names a program that does not exist: {line}",
                program=program,
                line=repr(first_line),
            )
            return StartError(text, code="not_found")
    if isinstance(error, FileNotFoundError):
        return StartError(_("{program}: no such program", program=program), code="not_found")
    if isinstance(error, PermissionError):
        return StartError(_("{program}: permission denied", program=program), code="permission")
    if getattr(error, "winerror", 0) in _NO_PROGRAM:
        text = _("{program}: is not a program that this Windows can run", program=program)
        return StartError(text, code="not_found")
    said = getattr(error, "strerror", None) or str(error)
    return StartError(_("{program}: {error}", program=program, error=said), code="other")


def _emit_failed(code: str, text: Text) -> None:
    emit("failed", error=code, message=str(text), text=[text.template, text.values])


def main() -> None:
    if sys.platform == "win32":
        from mika.guard._windows import run
    else:
        from mika.guard._posix import run
    requests = RequestReader()
    spec = read_spec(requests)
    if spec is None:
        return
    try:
        if spec["temporary"] is not None:
            temporary.make(spec["log_dir"], spec["temporary"])
        run(spec, requests)
    except StartError as error:
        _emit_failed(error.code, error.text)
    except OSError as error:
        _emit_failed("other", _("the guard failed: {error}", error=str(error)))
        raise
    finally:
        if spec["temporary"] is not None and not emit("done"):
            temporary.remove(spec["log_dir"])
