"""Workflows and activities that are broken in themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from tests.kit.terminals import SOON


@activity.defn
async def sleeper(duration: float) -> None:
    await asyncio.sleep(duration)


@activity.defn
async def breaker(retryable: bool) -> None:
    raise ApplicationError("it broke", type="Broken", non_retryable=not retryable)


@workflow.defn
class Slow:
    """An activity that sleeps longer than it may."""

    @workflow.run
    async def run(self, duration: float, limit: float) -> None:
        once = RetryPolicy(maximum_attempts=1)
        await workflow.execute_activity(
            sleeper, duration, start_to_close_timeout=timedelta(seconds=limit), retry_policy=once
        )


@workflow.defn
class Breaking:
    @workflow.run
    async def run(self, retryable: bool) -> None:
        await workflow.execute_activity(breaker, retryable, start_to_close_timeout=SOON)


@workflow.defn
class Untaken:
    """An activity in a queue that nobody polls."""

    @workflow.run
    async def run(self, limit: float) -> None:
        await workflow.execute_activity(
            "anything", task_queue="nobodys-queue", schedule_to_close_timeout=timedelta(seconds=limit)
        )


@workflow.defn
class Buggy:
    @workflow.run
    async def run(self) -> None:
        raise KeyError("typo")


@workflow.defn(name="Changing")
class Before:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(0.5)
        await workflow.wait_condition(lambda: False)


@workflow.defn(name="Changing")
class After:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(sleeper, 0.0, start_to_close_timeout=SOON)


@workflow.defn
class Loop:
    """It continues as new until it has had `times` runs, and completes."""

    @workflow.run
    async def run(self, times: int) -> None:
        if times > 1:
            workflow.continue_as_new(times - 1)
