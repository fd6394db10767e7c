"""What may run out while a stack runs: space on the disk of `.mika`, and the supervisor's descriptors. Linux only."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.kit.bot import Bot

_SIZE_MB = 256


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """A disk of its own for `folder`. Yields why there is none, if so."""
    folder.mkdir()
    if os.geteuid() != 0:
        yield "only root may mount one"
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m,mode=0700", "tmpfs", str(folder)]
    mount = subprocess.run(command, capture_output=True, text=True, check=False)
    if mount.returncode:
        yield mount.stderr.strip()
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full_disk(bot: Bot) -> Iterator[None]:
    filler = bot.folder / ".mika" / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def no_descriptors(bot: Bot) -> Iterator[None]:
    """The supervisor can open nothing more; what it starts meanwhile inherits the limit, and loses it afterwards."""
    supervisor = psutil.Process(bot.status()["supervisor"]["pid"])
    before = resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE)
    low = supervisor.num_fds()
    resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, (low, before[1]))
    try:
        yield
    finally:
        for process in bot.alive():
            with contextlib.suppress(OSError):
                if resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] == low:
                    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
