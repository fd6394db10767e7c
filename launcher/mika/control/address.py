"""The addresses at which the supervisor of a project listens, and the terminals of processes that are debugged."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

from mika.errors import UsageError
from mika.wording import _


def control_address(project: Path) -> str:
    """The path of the Unix socket, or the name of the pipe on Windows.

    The path of a socket is limited to about 107 bytes, and the project's path may be longer. So the socket is in the
    user's runtime folder, and a hash of the project's path is its name. The name of a pipe is random, because names of
    pipes are global.
    """
    if sys.platform == "win32":
        return rf"\\.\pipe\mika-{secrets.token_hex(16)}"
    return _socket(os.fsencode(project))


def terminal_address(project: Path, name: str) -> str:
    """The path of the Unix socket of one process's terminal. There is none on Windows."""
    return _socket(os.fsencode(project) + b"\0" + os.fsencode(name))


def _socket(key: bytes) -> str:
    return str(_runtime_folder() / f"{hashlib.sha256(key).hexdigest()[:20]}.sock")


def _runtime_folder() -> Path:
    if sys.platform == "win32":  # pragma: no cover
        raise AssertionError
    xdg_folder = os.environ.get("XDG_RUNTIME_DIR", "")
    if _is_usable(xdg_folder):
        folder = Path(xdg_folder) / "mika"
    else:
        import tempfile  # takes 3 ms

        folder = Path(tempfile.gettempdir()) / f"mika-{os.getuid()}"
        if len(str(folder)) > 60:
            folder = Path("/tmp") / folder.name  # noqa: S108 - the owner and the mode are checked below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise UsageError(
            _("{folder}: cannot be created: {error}", folder=folder, error=error.strerror or error),
            _(
                "mika needs this folder for its control socket: remove what is there,"
                " or set XDG_RUNTIME_DIR to a folder of your own"
            ),
        ) from None
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise UsageError(
            _("{folder}: belongs to another user or is accessible to other users", folder=folder),
            _("remove it, or set XDG_RUNTIME_DIR to a folder of your own"),
        )
    return folder


def _is_usable(xdg_folder: str) -> bool:
    """Whether a socket can be created there. The XDG specification requires that a relative path is ignored."""
    if sys.platform == "win32":  # pragma: no cover
        raise AssertionError
    path = Path(xdg_folder)
    try:
        is_ours = path.is_absolute() and path.is_dir() and path.stat().st_uid == os.getuid()
    except OSError:
        return False
    return is_ours and len(os.fsencode(xdg_folder)) < 60 and os.access(path, os.W_OK | os.X_OK)
