"""The watch over the exit of a process touches no descriptor but its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has descriptors of processes")


async def watched() -> None:
    from mika.supervisor._posix import watch_exit

    loop, exited = asyncio.get_running_loop(), asyncio.Event()
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as popen:
        free = os.open(os.devnull, os.O_RDONLY)  # the number that the next descriptor will have
        os.close(free)
        stop = watch_exit(popen.pid, exited.set)
        popen.communicate()
    async with asyncio.timeout(10):
        await exited.wait()
    ours, theirs = os.pipe()
    assert ours == free, "this pipe has the number of the watch"
    try:
        read = asyncio.Event()
        loop.add_reader(ours, read.set)
        stop()
        os.write(theirs, b"x")
        async with asyncio.timeout(10):
            await read.wait()
        loop.remove_reader(ours)
        stop()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_descriptor_that_is_closed_is_let_alone():
    asyncio.run(watched())
