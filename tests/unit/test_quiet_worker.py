"""A worker that does not poll any more, though its process lives."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mika.config.process_options import parse_ready
from mika.readiness.ladder import AtWork
from mika.stack import probes


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Server:
    """What Temporal says of the worker."""

    def __init__(self) -> None:
        self.polled, self.is_busy, self.is_down = 500.0, False, False

    async def last_poll(self, _queue: str, _is_own: object) -> float:
        if self.is_down:
            raise OSError
        return self.polled

    async def runs_activities(self, _is_own: object) -> bool:
        return self.is_busy


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(probes.time, "monotonic", clock.monotonic)
    return clock


def watched(server: Server, clock: Clock, seconds: float, *, polls: bool = False) -> probes._Polling:
    """What watches a worker, after that time."""
    launch = SimpleNamespace(pids=set)
    polling = probes._Polling("jobs", server, launch, parse_ready("worker:q"), lambda _: True, None)
    for _step in range(int(seconds / 5) + 1):
        clock.now += 5
        server.polled += 5 * polls
        asyncio.run(polling.still_polls())
    return polling


def test_a_worker_that_has_not_polled_for_long_is_unhealthy(clock):
    server = Server()
    polling = watched(server, clock, 85)
    clock.now += 20
    with pytest.raises(AtWork, match=r"it has not polled q for 1\d\d s") as error:
        asyncio.run(polling.still_polls())
    assert "`mika restart jobs`" in error.value.reason.fix
    clock.now += 1
    with pytest.raises(AtWork):
        asyncio.run(polling.still_polls())
    server.polled += 1
    clock.now += 20
    asyncio.run(polling.still_polls())


def test_who_polls_runs_an_activity_or_cannot_be_asked_about_is_well(clock):
    server = Server()
    watched(server, clock, 600, polls=True)
    server.is_busy = True
    watched(server, clock, 600)
    server.is_busy, server.is_down = False, True
    watched(server, clock, 600)


def test_only_time_in_which_mika_was_awake_counts(clock):
    """The laptop slept for an hour, and the worker has not come back yet."""
    server = Server()
    polling = watched(server, clock, 30)
    clock.now += 3600
    asyncio.run(polling.still_polls())


def test_a_suspended_worker_is_said_to_be_that(monkeypatch):
    polling = probes._Polling(
        "jobs", Server(), SimpleNamespace(pids=set), parse_ready("worker:q"), lambda _: True, None
    )
    polling._pids = {4711}
    monkeypatch.setattr(probes, "process_state", lambda pid: "stopped" if pid == 4711 else "")
    with pytest.raises(AtWork, match="it is suspended") as error:
        asyncio.run(polling.still())
    assert "mika restart jobs" in error.value.reason.fix
