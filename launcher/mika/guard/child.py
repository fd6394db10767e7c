"""The entry point of a guard process, and what its Linux and Windows implementations share.

Standard library only, and few modules of it: each service has a guard, so every import costs memory once per service.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from mika.guard import temporary
from mika.guard.segments import SegmentWriter

TYPE_CHECKING = False  # importing `typing` costs 1 MB in each guard; type checkers treat this name specially
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

READ_SIZE = 64 * 1024  # bytes; the capacity of a pipe on Linux
DRAIN_SECONDS = 1.0  # how long to read output after the tree is gone: an escaped process may hold the pipe open
GIVE_UP_SECONDS = 5.0  # after the first SIGKILL; survivors belong to another user or hang in the kernel


class StartError(Exception):
    """The service could not be started. `kind` is not_found, permission, locked, cwd or other."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def emit(event: str, **fields: object) -> bool:
    """Send an event to the supervisor; returns whether it is alive. If not, the guard still has to finish its work."""
    line = json.dumps({"event": event, **fields}).encode() + b"\n"
    try:
        os.write(1, line)
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
        return [json.loads(line) for line in lines if line]


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
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - see segments.py
        file = open(path, "ab")  # noqa: PTH123, SIM115 - as above; stays open until this process exits
    except OSError as error:
        raise StartError("other", f"{path}: {error.strerror}") from error
    try:
        try_lock(file)
    except OSError as error:
        raise StartError("locked", f"{path} is in use by another process") from error
    return file


def check_cwd(path: str) -> None:
    if not os.path.isdir(path):  # noqa: PTH112 - see segments.py
        raise StartError("cwd", f"{path}: no such folder")


def start_error(program: str, error: Exception) -> StartError:
    if isinstance(error, FileNotFoundError) and os.path.isfile(program):  # noqa: PTH113 - see segments.py
        with suppress(OSError), open(program, "rb") as file:  # noqa: PTH123 - as above
            first_line = file.readline(100)
            return StartError(
                "not_found", f"{program}: its first line names a program that does not exist: {first_line!r}"
            )
    if isinstance(error, FileNotFoundError):
        return StartError("not_found", f"{program}: no such program")
    if isinstance(error, PermissionError):
        return StartError("permission", f"{program}: permission denied")
    return StartError("other", f"{program}: {getattr(error, 'strerror', None) or error}")


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
        if spec["temporary"]:
            temporary.make(spec["log_dir"], spec["temporary"])
        run(spec, requests)
    except StartError as error:
        emit("failed", error=error.kind, message=str(error))
    except OSError as error:
        emit("failed", error="other", message=f"the guard failed: {error}")
        raise
    finally:
        if spec["temporary"] and not emit("done"):
            temporary.remove(spec["log_dir"])
