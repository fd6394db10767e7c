"""What the tests of the guard share: services with the marks of one run, and an eye on what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from mika.guard.segments import segment_numbers, segment_path
from mika.supervisor.guard import Exit, Guard, ServiceSpec

from tests.kit.machine import DEADLINE


@dataclass
class Run:
    """One run id; everything that carries it is killed at the end of the test."""

    folder: Path
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def marks(self, name: str = "svc") -> dict[str, str]:
        """What a supervisor puts into the environment of its processes."""
        return {"MIKA_RUN_ID": self.run_id, "MIKA_PROCESS": name, "PYTHONUNBUFFERED": "1"}

    def spec(self, command: str | tuple[str, ...], **options) -> ServiceSpec:
        """A string is for the shell."""
        name = options.pop("name", "svc")
        return ServiceSpec(
            name=name,
            command=("/bin/sh", "-c", command) if isinstance(command, str) else command,
            cwd=options.pop("cwd", self.folder),
            env=os.environ | self.marks(name) | options.pop("env", {}),
            log_dir=self.folder / "logs",
            **options,
        )

    def python(self, code: str, **options) -> ServiceSpec:
        return self.spec((sys.executable, "-c", code), **options)

    def log(self, name: str = "svc") -> bytes:
        directory = str(self.folder / "logs")
        return b"".join(Path(segment_path(directory, name, n)).read_bytes() for n in segment_numbers(directory, name))

    def alive(self, *, guards: bool = True) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environ = process.environ()
                ours = environ.get("MIKA_RUN_ID") == self.run_id and (guards or "MIKA_GUARD" not in environ)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill_all(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while (left := self.alive()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)


async def until(condition, what: str):
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what}"
        await asyncio.sleep(0.01)
    return value


async def stop(guard: Guard) -> Exit:
    """Ask it to stop, and wait until all of its tree is gone."""
    guard.request_stop()
    async with asyncio.timeout(DEADLINE):
        return await guard.wait()
