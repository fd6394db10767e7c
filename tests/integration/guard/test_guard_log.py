"""The log of a service: no byte is lost, and it stays within its bound."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys

import pytest
from mika.project import logs
from mika.supervisor.guard import Guard, LogFailed, LogRecovered

from tests.kit.guard import until
from tests.kit.machine import DEADLINE, posix_only

pytestmark = posix_only


def test_log_is_byte_exact(run):
    """Both streams, in every kind of bytes and of chunk, end without a newline."""
    random.seed(3)
    parts = [
        b"\n", b"\r\n", b"\0", b"\xff\xfe\xd6\xd0", b"\x1b[31mred\x1b[0m", "\u2028\x85\x0b\x0c".encode(), b"plain",
    ]  # fmt: skip
    chunks = [b"".join(random.choices(parts, k=random.randint(1, 40))) for _ in range(3000)]
    chunks[1500:1500] = [b"z" * 10_000_000]
    chunks.append(b"no newline at the end")
    payload = run.folder / "payload"
    payload.write_bytes(b"".join(chunks))
    sizes = ",".join(str(len(chunk)) for chunk in chunks)
    (run.folder / "writer.py").write_text(
        "import os\ndata = memoryview(open('payload', 'rb').read())\nat = 0\n"
        f"for number, size in enumerate([{sizes}]):\n"
        "    end = at + size\n"
        "    while at < end:\n        at += os.write(1 + number % 2, data[at:end])\n",
        encoding="utf-8",
    )

    async def main():
        guard = await Guard.start(run.spec((sys.executable, "writer.py")))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0

    asyncio.run(main())
    expected = payload.read_bytes()
    assert hashlib.sha256(run.log()).digest() == hashlib.sha256(expected).digest()
    follower = logs.Follower(run.folder / "logs", "svc")
    read = b""
    while lines := follower.poll():
        read += b"".join(line.data + b"\n" * line.is_complete for line in lines)
    read += b"".join(line.data for line in follower.flush())
    assert read == expected


def test_output_of_a_fast_end_is_complete(run):
    """What a process wrote right before it was killed still stands in the pipe."""

    async def main():
        for number in range(10):
            guard = await Guard.start(run.spec("head -c 60000 /dev/zero; kill -9 $$", name=f"n{number}"))
            await guard.wait()
            assert len(run.log(f"n{number}")) == 60_000

    asyncio.run(main())


def test_restart_continues_the_log_and_the_reader_sees_two_lines(run):
    async def main():
        for word in ("first", "second"):
            await (await Guard.start(run.spec(("printf", word)))).wait()

    asyncio.run(main())
    assert run.log() == b"firstsecond"
    assert [line.data for line in logs.read_tail(run.folder / "logs", "svc", 9)] == [b"first", b"second"]


def test_log_stays_within_its_bound(run):
    async def main():
        command = "i=0; while [ $i -lt 40 ]; do head -c 10000 /dev/zero; echo $i; i=$((i+1)); done"
        guard = await Guard.start(run.spec(command, log_max_bytes=100_000))
        await guard.wait()

    asyncio.run(main())
    assert sum(path.stat().st_size for path in (run.folder / "logs").iterdir()) <= 100_000
    assert run.log().endswith(b"39\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_full_disk_stops_the_log_and_not_the_service(run):
    target = run.folder / "logs"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        ballast = target / "ballast"
        ballast.write_bytes(b"b" * 32_000)

        async def main():
            events = []
            command = (
                "head -c 300000 /dev/zero; touch wrote; while [ -e ../wait ] || [ -e wait ]; do sleep 0.02; done; "
                "echo; echo after"
            )
            (run.folder / "wait").touch()
            guard = await Guard.start(run.spec(command), events.append)
            await until((run.folder / "wrote").exists, "the service to write more than fits")
            await until(lambda: events, "the event")
            assert events == [LogFailed("No space left on device")]
            ballast.unlink()
            (run.folder / "wait").unlink()
            assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0
            assert isinstance(events[1], LogRecovered)
            assert len(events) == 2
            log = run.log()
            assert log.endswith(b"\nafter\n")
            assert len(log) + events[1].lost == 300_000 + len(b"\nafter\n")

        asyncio.run(main())
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)
