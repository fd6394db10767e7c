"""How many messages are started at once, with a clock and a server of our own."""

from __future__ import annotations

import asyncio

import pytest

from src.api.admission import COUNT_EVERY, Admission, Count
from src.intake.problems import Problem

TIME_OUT = 60.0
BACKLOG = 10
SURE = 100  # so many are started whatever is known


class World:
    """Workers that answer `rate` messages a second, in order. `elsewhere`: started by other processes."""

    def __init__(self, rate=10.0, monkeypatch=None):
        self.now, self.rate, self.done = 1000.0, rate, 0.0
        self.started = self.elsewhere = self.asked = 0
        self.has_worker, self.answers = True, True
        self.admission = self.api()
        self.outcomes = []
        self.longest = 0.0

    def api(self):
        return Admission(self.count, lambda: self.has_worker, lambda _: not self.answers, TIME_OUT, lambda: self.now)

    async def count(self):
        self.asked += 1
        if not self.answers:
            raise TimeoutError
        return Count(self.open, int(self.done) if self.open >= BACKLOG else None, 0.0)

    @property
    def open(self):
        return self.started + self.elsewhere - int(self.done)

    async def send(self, number=0, patience=0.3 * TIME_OUT, admission=None):
        began = self.now
        try:
            await (admission or self.admission).admit(patience)
        except Problem as problem:
            self.outcomes.append((number, problem.code, self.now - began, problem.retry_after))
            return
        self.started += 1
        # As many as are before it are answered first.
        self.outcomes.append((number, "started", self.now - began, None))
        self.longest = max(self.longest, self.now - began + self.open / self.rate if self.rate else 0.0)

    def which(self, outcome):
        return [number for number, code, _, _ in self.outcomes if code == outcome]


@pytest.fixture
def sleep(monkeypatch):
    """Half a second of the story for each turn of the loop that sleeps."""
    real = asyncio.sleep

    async def pass_time(_seconds):
        await real(0)

    monkeypatch.setattr("src.api.admission.asyncio.sleep", pass_time)
    return real


async def live(world, sleep, seconds):
    for _ in range(int(seconds * 4)):
        world.now += 0.25
        world.done = min(world.done + world.rate / 4, world.started + world.elsewhere)
        for _ in range(20):
            await sleep(0)


def burst(world, sleep, count, seconds=60.0, **options):
    async def main():
        tasks = [asyncio.create_task(world.send(number, **options)) for number in range(count)]
        await live(world, sleep, seconds)
        for task in tasks:
            assert task.done()

    asyncio.run(main())


def test_a_hundred_at_once_are_started_at_once(sleep):
    world = World(rate=3)
    burst(world, sleep, SURE, seconds=1)
    assert {(code, waited) for _, code, waited, _ in world.outcomes} == {("started", 0.0)}


def test_all_that_can_be_answered_in_time_are_started(sleep):
    world = World(rate=25)
    burst(world, sleep, 700)
    assert len(world.which("started")) == 700
    assert world.longest < TIME_OUT


@pytest.mark.parametrize("rate", [2, 5, 10])
def test_the_rest_is_told_soon_and_the_first_come_first(sleep, rate):
    world = World(rate)
    burst(world, sleep, 700)
    started, busy = world.which("started"), world.which("busy")
    assert len(started) + len(busy) == 700
    assert started == sorted(started)
    assert max(started) < min(busy) or len(started) > rate * TIME_OUT * 0.5, "in order, as far as the rate was known"
    assert world.longest < TIME_OUT, "whatever was started is answered in time"
    assert all(0 < retry <= TIME_OUT for _, code, _, retry in world.outcomes if code == "busy")
    waits = sorted(waited for _, code, waited, _ in world.outcomes if code == "busy")
    assert waits[len(waits) // 2] <= 5, "as soon as the rate is known"


def test_after_the_burst_the_next_one_is_served(sleep):
    world = World(rate=5)
    burst(world, sleep, 700)
    world.outcomes.clear()
    world.done = float(world.started)

    async def main():
        world.admission = world.api()
        await asyncio.gather(*(world.send(number) for number in range(SURE)))

    asyncio.run(main())
    assert len(world.which("started")) == SURE


def bursts(world, sleep, between, *second):
    """`between`: what happens after each. Only the outcomes of the last one are left."""

    async def main():
        for count in (700, *second):
            world.outcomes.clear()
            tasks = [asyncio.create_task(world.send(number)) for number in range(count)]
            await live(world, sleep, 60)
            assert all(task.done() for task in tasks)
            between()

    asyncio.run(main())


@pytest.mark.parametrize(("minutes", "most"), [(1, 1.0), (20, 5.0)])
def test_a_second_burst_is_told_at_once_if_the_first_was_not_long_ago(sleep, minutes, most):
    world = World(rate=5)

    def pause():
        world.done = float(world.started)
        world.now += 60 * minutes

    bursts(world, sleep, pause, 700)
    waits = sorted(waited for _, code, waited, _ in world.outcomes if code == "busy")
    assert len(waits) > 300
    assert waits[len(waits) // 2] <= most
    assert (waits[len(waits) // 2] > 1) == (minutes > 10)


def test_the_rate_of_workers_that_no_longer_answer_is_forgotten(sleep):
    world = World(rate=25)

    def stall():
        world.done, world.rate = float(world.started), 0.0
        world.now += 60

    bursts(world, sleep, stall, 900, SURE + 10)
    assert len(world.which("started")) == SURE
    assert len(world.outcomes) == SURE + 10


def test_what_others_have_started_counts(sleep):
    world = World(rate=2)
    world.elsewhere = 300

    async def main():
        await world.send()  # the first one asks
        await live(world, sleep, 1)
        tasks = [asyncio.create_task(world.send(number)) for number in range(50)]
        await live(world, sleep, 30)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert len(world.which("busy")) == 50


def test_without_a_worker_it_is_not_called_busy(sleep):
    world = World(rate=0)
    world.has_worker = False
    burst(world, sleep, SURE + 10, seconds=30)
    assert (len(world.which("started")), len(world.which("no_worker"))) == (SURE, 10)


def test_a_server_that_is_gone_is_not_called_busy(sleep):
    world = World()
    world.answers = False
    burst(world, sleep, SURE + 10, seconds=10)
    assert len(world.which("started")) == SURE + 10  # the start says what is wrong


def test_the_server_is_asked_once_a_second(sleep):
    world = World(rate=5)
    burst(world, sleep, 700, seconds=20)
    assert world.asked <= 20 / COUNT_EVERY + 2


def test_a_caller_that_leaves_is_forgotten(sleep):
    world = World(rate=1)

    async def main():
        tasks = [asyncio.create_task(world.send(number)) for number in range(SURE + 5)]
        await sleep(0)
        for task in tasks[SURE:]:
            task.cancel()
        await live(world, sleep, 2)
        assert len(world.which("started")) == SURE
        assert all(task.cancelled() for task in tasks[SURE:])

    asyncio.run(main())
