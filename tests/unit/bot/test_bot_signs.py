"""Whether workers give signs of life, with a clock and a server of our own."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from src.api import calls
from src.api.calls import Calls
from src.api.signs import SharedRequest, WorkerSigns

PATIENCE = 3.0


class World:
    """A server that says when tasks were last polled for; `now` is our clock, the server's is a day ahead."""

    def __init__(self):
        self.now = 1000.0
        self.polled = {"workflow": 86_400.0, "activity": 86_400.0}
        self.asked = 0
        self.answers = True
        self.signs = WorkerSigns(self.latest_polls, PATIENCE, lambda: self.now)

    async def latest_polls(self):
        self.asked += 1
        if not self.answers:
            raise TimeoutError
        return dict(self.polled)

    async def wait(self, seconds, poll=None):
        """Half a second after the other, as callers look; `poll` is what the workers ask for meanwhile."""
        for _ in range(int(2 * seconds)):
            self.now += 0.5
            if poll:
                self.polled[poll] += 0.1
            self.signs.request_polls()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


def run(story):
    async def main():
        await story(World())

    asyncio.run(main())


def test_nobody_polls():
    async def story(world):
        since = world.now
        await world.wait(2.5)
        assert not await world.signs.is_silent("workflow", since)  # too early
        await world.wait(0.5)
        assert await world.signs.is_silent("workflow", since)
        assert await world.signs.is_silent("activity", since)

    run(story)


def test_a_busy_worker_polls_again_and_again():
    async def story(world):
        since = world.now
        await world.wait(9, poll="workflow")
        assert not await world.signs.is_silent("workflow", since)
        assert await world.signs.is_silent("activity", since)
        await world.wait(2)  # it is gone now
        assert not await world.signs.is_silent("workflow", since)
        await world.wait(2)
        assert await world.signs.is_silent("workflow", since)

    run(story)


def test_an_old_poll_is_no_sign_however_late_it_is_heard_of():
    async def story(world):
        await world.wait(2)
        world.now += 600
        world.polled["workflow"] += 300
        since = world.now
        await world.wait(3)
        assert await world.signs.is_silent("workflow", since)

    run(story)


def test_a_server_that_does_not_tell():
    async def story(world):
        world.answers = False
        since = world.now
        await world.wait(5.5)
        assert not await world.signs.is_silent("workflow", since)
        await world.wait(0.5)
        assert await world.signs.is_silent("workflow", since)

    run(story)


def test_one_question_for_all_callers():
    async def story(world):
        for _ in range(10):
            world.now += 0.5
            await asyncio.gather(*(world.signs.is_silent("workflow", 1000.0) for _ in range(100)))
        assert world.asked == 5

    run(story)


def description(*activities, task_started=0):
    response = DescribeWorkflowExecutionResponse()
    if task_started:
        response.pending_workflow_task.started_time.FromSeconds(task_started)
    for name, heartbeat in activities:
        pending = response.pending_activities.add(activity_id=name)
        pending.last_heartbeat_time.FromSeconds(heartbeat)
    return response


@pytest.mark.parametrize(
    ("before", "after", "fresh", "answering"),
    [
        (description(), description(), False, False),
        (description(), description(task_started=5), True, False),
        (description(task_started=5), description(task_started=5), False, False),
        (description(task_started=5), description(("1", 0)), True, True),
        (description(("1", 7)), description(("1", 7)), False, False),
        (description(("1", 7)), description(("1", 8)), True, False),
        (description(("1", 7)), description(), True, True),
    ],
    ids=["nothing", "taken", "still taken", "next step", "no heartbeat", "heartbeat", "step done"],
)
def test_what_two_looks_at_a_workflow_tell(before, after, fresh, answering):
    async def story(world):
        signs = world.signs
        snapshot = signs.compare(None, before)
        assert not signs.is_fresh(1.0)
        signs.compare(snapshot, after)
        assert signs.is_fresh(1.0) is fresh
        assert signs.is_answering() is answering
        world.now += PATIENCE
        assert not signs.is_answering()

    run(story)


def test_a_caller_that_leaves_does_not_take_the_question_with_it():
    async def main():
        answer = asyncio.Event()

        async def question():
            await answer.wait()
            return "answer"

        shared = SharedRequest(question, 1.0, lambda: 0.0)
        leaves, stays = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
        answer.set()
        assert await stays == "answer"
        assert leaves.cancelled()

    asyncio.run(main())


def test_many_callers_hear_together_that_the_server_is_gone(monkeypatch):
    """One call after the other would let the last of them wait for minutes."""
    monkeypatch.setattr(calls, "CALL_TIMEOUT", 0.4)
    monkeypatch.setattr(calls, "_OUTAGE_PATIENCE", 0.6)
    tried = []

    async def main():
        shared, since = Calls(), asyncio.get_running_loop().time()

        async def one():
            async with shared.call(since):
                tried.append(1)
                await asyncio.Event().wait()

        found = await asyncio.gather(*(one() for _ in range(1000)), return_exceptions=True)
        assert all(isinstance(error, TimeoutError) for error in found)
        assert shared.is_gone(since)

    asyncio.run(main())
    assert 0 < len(tried) < 500


def test_an_answer_to_anybody_is_an_answer(monkeypatch):
    monkeypatch.setattr(calls, "_OUTAGE_PATIENCE", 0.0)
    shared = Calls()
    assert shared.is_gone(0.0)
    monkeypatch.setattr(calls, "_OUTAGE_PATIENCE", 60.0)
    shared.record_answer()
    assert not shared.is_gone(0.0)


def test_who_was_not_asked_for_is_not_missing():
    async def story(world):
        assert not world.signs.are_missing()
        await world.wait(2)
        assert not world.signs.are_missing(), "too early"
        await world.wait(2)
        assert world.signs.are_missing()
        await world.wait(2, poll="activity")
        assert not world.signs.are_missing()

    run(story)


def test_a_server_that_answers_late_says_nothing_about_the_workers():
    async def story(world):
        world.answers = False
        await world.wait(10)
        assert not world.signs.are_missing()
        world.answers = True
        await world.wait(1)
        assert not world.signs.are_missing(), "they are looked at since a second"

    run(story)
