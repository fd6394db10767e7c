"""The folder of a program that is run for some seconds and then killed."""

from __future__ import annotations

import os

from mika.guard.lean import suppress

# ruff: noqa: PTH102, PTH108, PTH106, PTH114, PTH115, PTH116, PTH118, PTH208 - see segments.py


def make(folder: str, files: dict[str, str]) -> None:
    """Raises OSError."""
    os.mkdir(folder, 0o700)
    for name, text in files.items():
        descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def remove(folder: str) -> None:
    """Remove it, with its files and with those that the program has made elsewhere.

    Those are noted as symbolic links, `INODE.elsewhere`. One that was replaced since then is somebody else's.
    """
    with suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with suppress(OSError):
                if os.path.islink(path) and f"{os.stat(path).st_ino}.elsewhere" == name:
                    os.unlink(os.readlink(path))
            with suppress(OSError):
                os.unlink(path)
        os.rmdir(folder)
