"""The readiness ladder: rungs in order, each with its last error, and nothing that waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
from mika.errors import describe
from mika.readiness import ladder
from mika.readiness.ladder import Hopeless, NotYet, Rung, climb
from mika.readiness.log_line import LogLine
from mika.readiness.probes import http_ok, tcp
from mika.reason import Reason, Repair

from tests.kit.machine import DEADLINE


def after(tries: int, detail: str = "there", error: Exception | None = None) -> Callable[[], Awaitable[str]]:
    """A probe that holds at its `tries`-th call."""
    calls = 0

    async def probe() -> str:
        nonlocal calls
        calls += 1
        if calls < tries:
            raise error or NotYet(f"try {calls}")
        return detail

    return probe


async def never() -> str:
    raise NotYet("not today")


async def hangs() -> str:
    await asyncio.sleep(3600)
    return "?"


def ignore(*_: object) -> None:
    """For whoever does not listen."""


async def climb_for(seconds: float, rungs: list[Rung], **listeners: Callable[..., None]) -> str:
    """`climb` under a deadline of its caller. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return await climb(rungs, **{"on_reached": ignore, "on_waiting": ignore, **listeners})


def test_rungs_are_climbed_in_order():
    reached: list[tuple[str, str]] = []
    waited: list[tuple[str, str]] = []
    rungs = [
        Rung("port open", after(3, "127.0.0.1:1")),
        Rung("serving", after(1, "SERVING")),
        Rung("usable", after(2, "yes")),
    ]
    times: list[float] = []

    def on_reached(rung: str, elapsed: float, detail: str) -> None:
        reached.append((rung, detail))
        times.append(elapsed)

    detail = asyncio.run(
        climb_for(30, rungs, on_reached=on_reached, on_waiting=lambda rung, reason: waited.append((rung, reason.text)))
    )
    assert detail == "yes"
    assert reached == [("port open", "127.0.0.1:1"), ("serving", "SERVING"), ("usable", "yes")]
    assert waited == [("port open", "try 1"), ("port open", "try 2"), ("usable", "try 1")]
    assert times == sorted(times)


def test_a_wait_that_stays_the_same_is_reported_again(monkeypatch):
    monkeypatch.setattr(ladder, "REMIND", 0.2)
    waited: list[float] = []
    with pytest.raises(TimeoutError):
        asyncio.run(climb_for(0.8, [Rung("port", never)], on_waiting=lambda *_: waited.append(time.monotonic())))
    assert len(waited) >= 2
    assert all(later - earlier >= 0.2 for earlier, later in itertools.pairwise(waited))


def test_the_same_reason_is_reported_once():
    waited: list[str] = []
    rungs = [Rung("port", after(5, error=OSError("refused")))]
    asyncio.run(climb_for(30, rungs, on_waiting=lambda _, reason: waited.append(reason.text)))
    assert waited == ["refused"]


def test_the_reason_of_a_probe_is_handed_on_whole():
    reason = Reason("its volume keeps another password", "delete it", Repair("restart", "db"))
    waited: list[Reason] = []
    rungs = [Rung("usable", after(2, error=NotYet(reason)))]
    asyncio.run(climb_for(30, rungs, on_waiting=lambda _, reason: waited.append(reason)))
    assert waited == [reason]


def test_what_waiting_does_not_change_is_told_and_seldom_tried(monkeypatch):
    monkeypatch.setattr(ladder, "HOPELESS_STEP", 0.5)
    errors = [NotYet("no namespace"), Hopeless("no namespace"), Hopeless("no namespace")]
    told: list[str] = []
    times: list[float] = []

    async def probe() -> str:
        times.append(time.monotonic())
        if errors:
            raise errors.pop(0)
        return "there"

    climbing = climb_for(30, [Rung("namespace", probe)], on_hopeless=lambda reason: told.append(reason.text))
    assert asyncio.run(climbing) == "there"
    assert told == ["no namespace"]
    soon, *late = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert soon < 0.5 <= min(late)


def test_nobody_loses_hope_in_what_mika_has_started(monkeypatch):
    monkeypatch.setattr(ladder, "HOPELESS_STEP", 60)
    assert asyncio.run(climb_for(30, [Rung("namespace", after(3, error=Hopeless("no namespace")))])) == "there"


def test_a_probe_that_hangs_is_bounded():
    waited: list[str] = []
    with pytest.raises(TimeoutError):
        asyncio.run(climb_for(0.8, [Rung("port", hangs, 0.1)], on_waiting=lambda _, reason: waited.append(reason.text)))
    assert waited == ["no answer within 0.1 s"]


def test_cancelling_ends_it_at_once():
    async def main() -> None:
        task = asyncio.create_task(climb_for(60, [Rung("port", hangs)]))
        await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(main(), 2))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotYet("not  yet,\n really"), "not yet, really"),
        (ValueError(), "ValueError"),
        (NotYet("x" * 1000), "x" * 300 + " …"),
        (NotYet("(nested) " * 100), "(nested) " * 33 + "…"),
        (None, ""),
    ],
)
def test_an_error_as_one_short_line(error, text):
    assert describe(error) == text


# --- probes -----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def server(answer: bytes | None, *, close: bool = True):
    """`answer` None: takes connections and says nothing."""

    over = asyncio.Event()
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            if answer:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
            if not close:
                await over.wait()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            over.set()
            await asyncio.gather(*filter(None, serving))


def run(probe: Callable[[int], Awaitable[str]], answer: bytes | None, *, close: bool = True) -> str:
    async def main() -> str:
        async with server(answer, close=close) as port:
            return await probe(port)

    return asyncio.run(main())


def test_tcp_needs_somebody_who_stays():
    assert run(lambda port: tcp("127.0.0.1", port), None, close=False).startswith("127.0.0.1:")
    with pytest.raises(NotYet, match="accepts and closes at once"):
        run(lambda port: tcp("127.0.0.1", port), b"")


def test_tcp_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it
        with pytest.raises(OSError):
            asyncio.run(tcp("127.0.0.1", unused.getsockname()[1]))


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_http_ok(status):
    url = run(lambda port: http_ok(f"http://127.0.0.1:{port}/ok?a=1"), f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert url.endswith("/ok?a=1")


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oh", "302 Found\r\nLocation: http://192.0.2.1/"])
def test_http_must_be_2xx_and_no_redirect_is_followed(status):
    with pytest.raises(NotYet, match=f"answers {status[:3]}"):
        run(lambda port: http_ok(f"http://127.0.0.1:{port}/"), f"HTTP/1.1 {status}\r\n\r\n".encode())


def test_http_uses_no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert run(lambda port: http_ok(f"http://127.0.0.1:{port}/"), b"HTTP/1.1 200 OK\r\n\r\n")


def test_http_that_says_nothing_is_bounded():
    with pytest.raises(OSError):
        run(lambda port: http_ok(f"http://127.0.0.1:{port}/", timeout=0.2), None, close=False)


def test_a_line_in_the_log():
    async def look(pattern: str) -> None:
        line = LogLine(pattern)
        with pytest.raises(NotYet, match="no line matches"):
            await line.search(["starting", "listening"])
        assert await line.search(["a", "now listening on 80\r\n", "listening on 81"]) == "now listening on 80"

    for pattern in (r"listening on \d+$", r"(now)? listening on (\d+)+$"):
        asyncio.run(look(pattern))


def test_a_line_that_a_pattern_takes_too_long_for_is_left_out():
    async def look() -> None:
        line = LogLine("(a+)+b", line_seconds=0.5)
        with pytest.raises(NotYet, match=r"each takes longer than 0\.5 s: 1") as told:
            await line.search(["none", "a" * 45 + "c", "a" * 45 + "d", "aab"])
        assert "such as (a+)+" in told.value.reason.fix
        with pytest.raises(NotYet, match=r"each takes longer than 0\.5 s: 2"):
            await line.search([])
        assert await line.search(["ab"]) == "aab"

    asyncio.run(asyncio.wait_for(look(), DEADLINE))


def test_a_long_line_stops_nothing():
    async def look() -> None:
        line = LogLine("x.*y", line_seconds=0.5)
        with pytest.raises(NotYet, match="left out"):
            await line.search(["x" * 1_000_000])

    asyncio.run(asyncio.wait_for(look(), DEADLINE))
