"""One workflow for each thing that a workflow can do. All of them stay open; `edits.py` changes their source.

The imports are relative: one program has many of these packages, each with another edit.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from . import steps
from . import plan

SOON: Any = {"start_to_close_timeout": timedelta(seconds=20)}
AT_SEA: Any = {"task_queue": "no-mans-queue", "schedule_to_close_timeout": timedelta(hours=2)}
PAUSE = 3600


@workflow.defn
class Parcel:
    """Two steps are behind it, a timer is pending, one step is to come."""

    @workflow.run
    async def run(self, code: str) -> str:
        weight = await workflow.execute_activity(steps.weigh, code, **SOON)
        sticker = await workflow.execute_activity(steps.label, code, **SOON)
        await asyncio.sleep(3600)
        return weight + sticker + await workflow.execute_activity(steps.deliver, code, **SOON)


@workflow.defn
class Stranded:
    """Its very first step is pending: nobody polls the queue."""

    @workflow.run
    async def run(self, code: str) -> str:
        return await workflow.execute_activity("ferry", code, **AT_SEA)


@workflow.defn
class Deferred:
    """Its very first step is a timer, which is pending."""

    @workflow.run
    async def run(self, code: str) -> str:
        await asyncio.sleep(7200)
        return await workflow.execute_activity(steps.deliver, code, **SOON)


@workflow.defn
class Routed:
    """Its steps come from another module."""

    @workflow.run
    async def run(self, code: str) -> str:
        for station in plan.stations():
            await workflow.execute_activity(station, code, **SOON)
        await asyncio.sleep(plan.BREAK)
        return code


@workflow.defn
class Desk:
    """Lives by signals, updates and queries."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.closed = False

    @workflow.run
    async def run(self, code: str) -> str:
        await workflow.wait_condition(lambda: self.closed)
        return code + ",".join(self.notes)

    @workflow.signal
    async def ring(self, note: str) -> None:
        self.notes.append(await workflow.execute_activity(steps.label, note, **SOON))

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.update
    async def ask(self, question: str) -> str:
        answer = await workflow.execute_activity(steps.weigh, question, **SOON)
        self.notes.append(answer)
        return answer

    @workflow.query
    def said(self) -> list[str]:
        return self.notes


@workflow.defn
class Onsite:
    """Local activities."""

    @workflow.run
    async def run(self, code: str) -> str:
        first = await workflow.execute_local_activity(steps.weigh, code, **SOON)
        second = await workflow.execute_local_activity(steps.label, code, **SOON)
        await asyncio.sleep(PAUSE)
        return first + second


@workflow.defn
class Slip:
    """The child of a `Consignment`."""

    @workflow.run
    async def run(self, code: str) -> str:
        return f"slip for {code}"


@workflow.defn
class Consignment:
    @workflow.run
    async def run(self, code: str) -> str:
        slip = await workflow.execute_child_workflow(Slip.run, code, id=f"{workflow.info().workflow_id}-slip")
        await asyncio.sleep(PAUSE)
        return slip


@workflow.defn
class Rounds:
    """Continues as new twice."""

    @workflow.run
    async def run(self, number: int) -> int:
        await workflow.execute_activity(steps.weigh, str(number), **SOON)
        if number < 3:
            workflow.continue_as_new(number + 1)
        await asyncio.sleep(PAUSE)
        return number


@workflow.defn
class Patched:
    @workflow.run
    async def run(self, code: str) -> str:
        if workflow.patched("weigh-first"):
            await workflow.execute_activity(steps.weigh, code, **SOON)
        else:
            await workflow.execute_activity(steps.deliver, code, **SOON)
        await asyncio.sleep(PAUSE)
        return code


@workflow.defn
class Deprecating:
    @workflow.run
    async def run(self, code: str) -> str:
        workflow.deprecate_patch("long-ago")
        await workflow.execute_activity(steps.weigh, code, **SOON)
        await asyncio.sleep(PAUSE)
        return code


@workflow.defn(sandboxed=False)
class Unboxed:
    """Runs outside of the sandbox."""

    @workflow.run
    async def run(self, code: str) -> str:
        box = steps.weigh
        await workflow.execute_activity(box, code, **SOON)
        await asyncio.sleep(PAUSE)
        return code


@workflow.defn
class Lottery:
    """Its dozen of steps is drawn: an edit that draws otherwise gets the same ones once in 4096 times."""

    @workflow.run
    async def run(self, code: str) -> str:
        draw = workflow.random()
        drawn = [steps.weigh if draw.random() < 0.5 else steps.label for _ in range(12)]
        await asyncio.gather(*(workflow.execute_activity(step, code, **SOON) for step in drawn))
        await asyncio.sleep(PAUSE)
        return str(workflow.uuid4())


@workflow.defn
class Convoy:
    """Steps that run at the same time."""

    @workflow.run
    async def run(self, code: str) -> str:
        lorries = range(5)
        await asyncio.gather(*(workflow.execute_activity(steps.weigh, f"{code}{n}", **SOON) for n in lorries))
        await asyncio.sleep(PAUSE)
        return code


@workflow.defn(dynamic=True)
class Anything:
    """Runs as any type that no other class has."""

    @workflow.run
    async def run(self, given: Sequence[RawValue]) -> str:
        kind = workflow.info().workflow_type
        await workflow.execute_activity(steps.label, kind, **SOON)
        await asyncio.sleep(PAUSE)
        return f"{kind} {len(given)}"


@workflow.defn
class Stubborn:
    """Its second step fails, and is retried for ever."""

    @workflow.run
    async def run(self, code: str) -> str:
        await workflow.execute_activity(steps.weigh, code, **SOON)
        await workflow.execute_activity("unwritten", code, **SOON)
        return code


ALL = [
    Parcel,
    Stranded,
    Deferred,
    Routed,
    Desk,
    Onsite,
    Slip,
    Consignment,
    Rounds,
    Patched,
    Deprecating,
    Unboxed,
    Lottery,
    Convoy,
    Anything,
    Stubborn,
]
