"""The `.mika/` folder of a project: its files, the lock of the supervisor, and the ids of crashed runs."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from mika.errors import UsageError
from mika.frozen import frozen
from mika.project.lock import FileLock
from mika.quoting import rights_command
from mika.wording import Text, _

_FULL = (errno.ENOSPC, errno.EDQUOT) if sys.platform != "win32" else (errno.ENOSPC,)
KEPT_MARKS = 20
"""How many run ids to remember for the sweep. Usually there is one, and more only after several crashes in a row."""


@frozen
class RunState:
    """The content of `run/state.json`: the supervisor that holds the lock, or the last one if it crashed."""

    pid: int
    run_id: str
    address: str
    key: str
    started: float
    backend: str
    addresses: dict[str, str] = field(default_factory=dict)
    """The `Config.addresses` of this run."""


EMBEDDED_DATABASE = "temporal.db"
DECLARED = "declared-*.json"
"""What mika has made on the server of each backend (`mika.declared.record`)."""


class ProjectDir:
    """The paths below `.mika/`. Only this user can access them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.root = project / ".mika"
        self.logs, self.data, self.run = self.root / "logs", self.root / "data", self.root / "run"
        self._state = self.run / "state.json"
        self._marks = self.run / "marks.json"
        self._survivors = self.run / "survivors.json"
        self._trees = self.run / "trees.json"
        self._backend = self.data / "backend"
        self._compose = self.data / "compose"
        self.chat_history = self.data / "chat-history"

    def stored(self) -> list[Path]:
        """The data of services and processes: all that is in `data`, but for mika's own notes and locks."""
        own = ("backend", "compose", DECLARED, "*.lock")
        return sorted(path for path in self.data.glob("*") if not any(path.match(name) for name in own))

    def create(self) -> None:
        """Create the folders. Raises UsageError if that fails, or if they are not writable."""
        try:
            for folder in (self.root, self.logs, self.data, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
                _close_to_others(folder)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            for folder in (self.logs, self.data, self.run):
                probe = folder / f".probe-{os.getpid()}"
                probe.touch(mode=0o600)
                probe.unlink()
        except OSError as error:
            raise UsageError(
                _(
                    "{path}: cannot be written: {error}",
                    path=error.filename or self.root,
                    error=error.strerror or error,
                ),
                _fix_for(error),
            ) from None

    # --- the lock: a supervisor is running if and only if it is held -------------------------------------------------

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Try to take the supervisor's lock, without waiting for its holder. Yields whether the caller has it now."""
        with self._lock_file() as lock:
            is_acquired = lock.acquire()
        try:
            yield is_acquired
        finally:
            lock.release()

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[FileLock]:
        try:
            yield FileLock(self.run / "lock")
        except OSError as error:
            raise UsageError(
                _("{folder}: cannot be used: {error}", folder=self.run, error=error.strerror or error),
                _("check with `{command}` whether it belongs to another user", command=rights_command(".mika")),
            ) from None

    def lock_identity(self) -> tuple[int, int] | None:
        """Device and inode of the lock file; None if it does not exist."""
        try:
            status = (self.run / "lock").stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def is_locked(self) -> bool:
        """Whether a supervisor is running in this folder. Creates nothing in a folder where mika was never used."""
        try:
            if not self.run.is_dir():
                return False
        except PermissionError as error:  # is_dir() raises it before Python 3.14
            raise UsageError(
                _("{folder}: cannot be read: {error}", folder=self.root, error=error.strerror),
                _("check whether it belongs to another user"),
            ) from None
        with self._lock_file() as lock:
            return lock.is_held()

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

    # --- marks: the run ids by which the processes of a crashed run are recognized ------------------------------------

    def add_mark(self, run_id: str) -> None:
        write_private(self._marks, json.dumps([*self.marks(), run_id][-KEPT_MARKS:]))

    def marks(self) -> list[str]:
        """The ids of runs in this folder that may still have processes."""
        return [str(run_id) for run_id in _read_list(self._marks)]

    @contextlib.contextmanager
    def marked(self, run_id: str) -> Iterator[None]:
        """With this mark, which is removed at the end if it was not there: nothing is left then of what has it."""
        if run_id in self.marks():
            yield
            return
        self.add_mark(run_id)
        try:
            yield
        finally:
            others = [mark for mark in self.marks() if mark != run_id]
            if others:
                write_private(self._marks, json.dumps(others))
            else:
                with contextlib.suppress(OSError):
                    self._marks.unlink()

    def clear_marks(self) -> None:
        for path in (self._trees, self._marks):
            with contextlib.suppress(OSError):
                path.unlink()

    def has_leftovers(self) -> bool:
        """Whether earlier runs may have left processes behind."""
        return bool(self.marks() or self.read_survivors())

    # --- the record: processes of this run that cannot be recognized by its mark --------------------------------------

    def write_trees(self, processes: list[dict[str, Any]]) -> None:
        write_private(self._trees, json.dumps(processes))

    def read_trees(self) -> list[dict[str, Any]]:
        return _read_list(self._trees)

    # --- survivors: processes that could not be killed ----------------------------------------------------------------

    def write_survivors(self, survivors: list[dict[str, Any]]) -> None:
        """Store them for `down` and the next `up`; an empty list if everything has exited."""
        if survivors or self._survivors.exists():
            write_private(self._survivors, json.dumps(survivors))

    def read_survivors(self) -> list[dict[str, Any]]:
        return _read_list(self._survivors)

    # --- what this folder used last ----------------------------------------------------------------------------------

    def last_backend(self) -> str | None:
        try:
            return self._backend.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def remember_backend(self, name: str) -> None:
        """Store the backend that `auto` chooses next time. Errors (a full disk) are ignored: the stack is ready now."""
        with contextlib.suppress(OSError):
            write_private(self._backend, name + "\n")

    def has_used_compose(self) -> bool:
        """Whether services of the compose file were ever started here, so that their volumes may be ours."""
        return self._compose.exists()

    def remember_compose(self) -> None:
        """Errors are ignored, as above."""
        with contextlib.suppress(OSError):
            self._compose.touch(mode=0o600)


def _close_to_others(folder: Path) -> None:
    """It may have been made by hand. What a link leads to is not mika's; on Windows, rights are inherited."""
    if sys.platform != "win32" and not folder.is_symlink() and (mode := folder.stat().st_mode) & 0o077:
        with contextlib.suppress(PermissionError):  # another user's, who has let this one in
            folder.chmod(mode & 0o700)


def _fix_for(error: OSError) -> Text:
    """What to do where the folder cannot be made, or not be written to."""
    if error.errno in _FULL:
        return _("free some space on that disk")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return _("mika keeps logs and data in a folder of that name: move the file that is there away")
    return _("mika keeps logs and data there: make the folder writable, or run mika in a copy of the project")


def _run_state(value: dict[str, Any]) -> RunState:
    """Unknown keys, from a newer mika, are ignored. Raises KeyError, TypeError, ValueError or AttributeError."""
    addresses = value.get("addresses")
    if not isinstance(addresses, dict):  # written by an older mika
        addresses = {}
    return RunState(
        pid=int(value["pid"]),
        run_id=str(value["run_id"]),
        address=str(value["address"]),
        key=str(value["key"]),
        started=float(value["started"]),
        backend=str(value["backend"]),
        addresses={str(name): str(address) for name, address in addresses.items()},
    )


def _read_list(path: Path) -> list[Any]:
    """The list in a file that an older mika or a crash may have left in any state."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return value if isinstance(value, list) else []


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read. It is replaced atomically: readers see the old text or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if sys.platform == "win32":
        _replace_while_read(temporary, path)
    else:
        temporary.replace(path)


def _replace_while_read(source: Path, target: Path) -> None:
    """Retry for 2 s: Windows cannot replace a file while a reader has it open."""
    import tenacity

    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PermissionError),
        wait=tenacity.wait_fixed(0.01),
        stop=tenacity.stop_after_delay(2),
        reraise=True,
    ):
        with attempt:
            source.replace(target)
