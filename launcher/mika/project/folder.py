"""The `.mika/` folder of a project: where things stand, who holds the lock, and what a crashed run left behind."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mika.errors import UsageError
from mika.project.lock import FileLock

KEPT_MARKS = 20
"""How many run marks are remembered for the sweep: one is the rule, more only after crashes in a row."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What `run/state.json` says of the supervisor that holds the lock (or held it, when it crashed)."""

    pid: int
    run_id: str
    address: str
    key: str
    started: float
    backend: str
    addresses: dict[str, str] = field(default_factory=dict)
    """`Config.addresses` of this run."""


class ProjectDir:
    """Paths below `.mika/`, all created for this user only."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.root = project / ".mika"
        self.logs, self.data, self.run = self.root / "logs", self.root / "data", self.root / "run"
        self._state = self.run / "state.json"
        self._marks = self.run / "marks.json"
        self._backend = self.data / "backend"

    def create(self) -> None:
        """Make the folders. Raises UsageError where that is not possible."""
        try:
            for folder in (self.root, self.logs, self.data, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            for folder in (self.logs, self.data, self.run):
                probe = folder / f".probe-{os.getpid()}"
                probe.touch(mode=0o600)
                probe.unlink()
        except OSError as error:
            raise UsageError(
                f"{error.filename or self.root}: cannot be written: {error.strerror or error}",
                "mika keeps logs and data there: make the folder writable, or run mika in a copy of the project",
            ) from None

    # --- the lock: the truth about "is it running" -------------------------------------------------------------------

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Take the lock that a running supervisor holds, without waiting; yields whether it was free."""
        lock = FileLock(self.run / "lock")
        try:
            free = lock.acquire()
        except OSError as error:
            raise UsageError(
                f"{self.run}: cannot be used: {error.strerror or error}", "is it another user's? `ls -la .mika` tells"
            ) from None
        try:
            yield free
        finally:
            lock.release()

    def lock_identity(self) -> tuple[int, int] | None:
        """Which file the lock is; None when there is none."""
        try:
            status = (self.run / "lock").stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def is_locked(self) -> bool:
        """Whether a supervisor runs in this folder. Never creates anything in a folder that mika has not used."""
        try:
            if not self.run.is_dir():
                return False
        except PermissionError as error:  # before Python 3.14 is_dir() raises it
            raise UsageError(f"{self.root}: cannot be read: {error.strerror}", "is it another user's?") from None
        with self.try_lock() as free:
            return not free

    # --- state of the run --------------------------------------------------------------------------------------------

    def write_state(self, state: RunState) -> None:
        write_private(self._state, json.dumps(asdict(state)))

    def read_state(self) -> RunState | None:
        try:
            return _run_state(json.loads(self._state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def clear_state(self) -> None:
        with contextlib.suppress(OSError):
            self._state.unlink()

    # --- marks: how left-overs of a crashed run are recognised -------------------------------------------------------

    def add_mark(self, run_id: str) -> None:
        write_private(self._marks, json.dumps([*self.marks(), run_id][-KEPT_MARKS:]))

    def marks(self) -> list[str]:
        """Run ids of this folder whose processes were not yet seen to be gone."""
        try:
            found: Any = json.loads(self._marks.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [str(mark) for mark in found] if isinstance(found, list) else []

    def clear_marks(self) -> None:
        with contextlib.suppress(OSError):
            self._marks.unlink()

    # --- what this folder used last ----------------------------------------------------------------------------------

    def last_backend(self) -> str | None:
        try:
            return self._backend.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def remember_backend(self, name: str) -> None:
        """For `auto`, the next time. A full disk must not end a stack that has just become ready."""
        with contextlib.suppress(OSError):
            write_private(self._backend, name + "\n")


def _run_state(found: dict[str, Any]) -> RunState:
    """Keys of a newer mika are passed over. Raises KeyError, TypeError, ValueError or AttributeError."""
    addresses = found.get("addresses")
    if not isinstance(addresses, dict):  # an older mika's
        addresses = {}
    return RunState(
        pid=int(found["pid"]),
        run_id=str(found["run_id"]),
        address=str(found["address"]),
        key=str(found["key"]),
        started=float(found["started"]),
        backend=str(found["backend"]),
        addresses={str(name): str(value) for name, value in addresses.items()},
    )


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that only this user can read; a reader sees the old or the new text, never half."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if sys.platform == "win32":
        _replace_while_read(temporary, path)
    else:
        temporary.replace(path)


def _replace_while_read(source: Path, target: Path) -> None:
    """Windows refuses to replace a file at the moment somebody reads it."""
    import tenacity

    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PermissionError),
        wait=tenacity.wait_fixed(0.01),
        stop=tenacity.stop_after_delay(2),
        reraise=True,
    ):
        with attempt:
            source.replace(target)
