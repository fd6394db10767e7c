"""A supervisor that is short of file descriptors keeps those that it has."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mika.stack.check_command import CheckCommand
from mika.supervisor.guard import Guard, ServiceSpec, StartFailedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_NOFILE, and /proc to count them")


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture(params=range(6))
def short(request: pytest.FixtureRequest) -> Iterator[None]:
    """So many descriptors are free: not enough for a process, and at another place of its start each time."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = request.param + 4  # an event loop of the test's own needs the others
    filled = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(filled) + 1 + free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filled:
            os.close(descriptor)


@pytest.mark.usefixtures("short")
def test_an_attempt_to_start_a_process_loses_none(tmp_path: Path) -> None:
    env = dict(os.environ)
    spec = ServiceSpec(name="svc", command=("true",), cwd=tmp_path, env=env, log_dir=tmp_path / "logs")
    check = CheckCommand("svc", ("true",), tmp_path, env, tmp_path)

    async def attempts() -> None:
        before = descriptors()
        for _ in range(3):
            with pytest.raises(StartFailedError):
                await Guard.start(spec)
            with pytest.raises(StartFailedError):
                await check.run("run")
        assert descriptors() == before

    asyncio.run(attempts())
