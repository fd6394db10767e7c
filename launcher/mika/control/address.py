"""Where the supervisor of a project listens."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import tempfile
from pathlib import Path

from mika.errors import UsageError


def control_address(project: Path) -> str:
    """Where the supervisor of `project` listens.

    A socket path may have about 107 bytes, and a project folder may be longer: so the socket stands in this user's
    runtime folder under a hash of the project's path. On Windows a random pipe name, since names there are global.
    """
    if sys.platform == "win32":
        return rf"\\.\pipe\mika-{secrets.token_hex(16)}"
    name = hashlib.sha256(str(project).encode()).hexdigest()[:20]
    return str(_runtime_folder() / f"{name}.sock")


def _runtime_folder() -> Path:
    if sys.platform == "win32":  # pragma: no cover
        raise AssertionError
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if _is_runtime_folder(given):
        folder = Path(given) / "mika"
    else:
        folder = Path(tempfile.gettempdir()) / f"mika-{os.getuid()}"
        if len(str(folder)) > 60:
            folder = Path("/tmp") / folder.name  # noqa: S108 - the owner and the mode are checked below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be made: {error.strerror or error}",
            "the control socket stands there: move that away, or set XDG_RUNTIME_DIR to a folder of your own",
        ) from None
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise UsageError(
            f"{folder}: belongs to somebody else or is open to others",
            "remove it, or set XDG_RUNTIME_DIR to a folder of your own",
        )
    return folder


def _is_runtime_folder(given: str) -> bool:
    """Whether a socket can stand there. What is not absolute is to be ignored, says the XDG specification."""
    if sys.platform == "win32":  # pragma: no cover
        raise AssertionError
    path = Path(given)
    try:
        is_ours = path.is_absolute() and path.is_dir() and path.stat().st_uid == os.getuid()
    except OSError:
        return False
    return is_ours and len(os.fsencode(given)) < 60 and os.access(path, os.W_OK | os.X_OK)
