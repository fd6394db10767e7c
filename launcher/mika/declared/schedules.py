"""Schedules: made, changed, paused and resumed through the SDK's client."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mika.config.declared import Schedule
from mika.declared.kinds import Kind
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from mika.quoting import quoted

if TYPE_CHECKING:
    from temporalio.client import Schedule as ServerSchedule
    from temporalio.client import ScheduleDescription, ScheduleHandle, ScheduleUpdate, ScheduleUpdateInput

_LIMIT = timedelta(seconds=RPC_TIMEOUT)
_PAUSED = "paused by `mika down`, until the next `mika up`"
_RESUMED = "resumed by `mika up`"
# Temporal's default is a year: after a holiday, every run that the stack has slept through would start at once.
_CATCH_UP = timedelta(minutes=1)


class Schedules(Kind[Schedule]):
    noun = "schedule"

    def wanted(self, item: Schedule) -> str:
        what = [item.workflow, item.task_queue, item.cron, item.interval, *item.args]
        return _digest(json.dumps(what, sort_keys=True).encode())

    async def find(self, temporal: Temporal, name: str) -> str | None:
        """When it was last changed, and a digest of what it does: not whether it is paused."""
        description = await _describe(temporal, name)
        if description is None:
            return None
        raw = description.raw_description
        changed = raw.info.update_time if raw.info.HasField("update_time") else raw.info.create_time
        parts = (raw.schedule.spec, raw.schedule.action, raw.schedule.policies)
        digest = _digest(b"".join(part.SerializeToString(deterministic=True) for part in parts))
        return f"{changed.ToJsonString()} {digest}"

    def is_same(self, content: str, other: str) -> bool:
        """A later server may write the same in another way; a change that changes nothing is none."""
        return not set(content.split()).isdisjoint(other.split())

    async def make(self, temporal: Temporal, item: Schedule) -> None:
        from temporalio.client import Client

        client = Client(temporal.client, namespace=temporal.namespace)
        await client.create_schedule(item.name, _schedule(item), rpc_timeout=_LIMIT)

    async def change(self, temporal: Temporal, item: Schedule) -> None:
        from temporalio.client import ScheduleUpdate

        def update(current: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(replace(_schedule(item), state=current.description.schedule.state))

        await _handle(temporal, item.name).update(update, rpc_timeout=_LIMIT)

    async def pause(self, temporal: Temporal, name: str) -> None:
        """Unless somebody has paused it already."""
        description = await _describe(temporal, name)
        if description is not None and not description.schedule.state.paused:
            await _handle(temporal, name).pause(note=_PAUSED, rpc_timeout=_LIMIT)

    async def resume(self, temporal: Temporal, name: str) -> None:
        """Unless somebody else has paused it: the note says who it was."""
        description = await _describe(temporal, name)
        state = description.schedule.state if description is not None else None
        if state is not None and state.paused and state.note == _PAUSED:
            await _handle(temporal, name).unpause(note=_RESUMED, rpc_timeout=_LIMIT)

    def creation(self, item: Schedule) -> str:
        times = f"--cron {quoted(item.cron)}" if item.cron else f"--interval {item.interval}s"
        inputs = "".join(f" --input {quoted(json.dumps(arg))}" for arg in item.args)
        what = f"--type {quoted(item.workflow)} --task-queue {quoted(item.task_queue)}"
        name = f"--schedule-id {quoted(item.name)} --namespace {quoted(item.namespace)}"
        return f"schedule create {name} {times} {what}{inputs}"

    def removal(self, namespace: str, name: str) -> str:
        return f"schedule delete --schedule-id {quoted(name)} --namespace {quoted(namespace)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _handle(temporal: Temporal, name: str) -> ScheduleHandle:
    from temporalio.client import Client

    return Client(temporal.client, namespace=temporal.namespace).get_schedule_handle(name)


async def _describe(temporal: Temporal, name: str) -> ScheduleDescription | None:
    from temporalio.service import RPCError

    try:
        return await _handle(temporal, name).describe(rpc_timeout=_LIMIT)
    except RPCError as error:
        if call_error(error) == CallError.NOT_FOUND:
            return None
        raise


def _schedule(item: Schedule) -> ServerSchedule:
    from temporalio.client import (
        Schedule as ServerSchedule,
    )
    from temporalio.client import (
        ScheduleActionStartWorkflow,
        ScheduleIntervalSpec,
        SchedulePolicy,
        ScheduleSpec,
    )

    intervals = [ScheduleIntervalSpec(every=timedelta(seconds=item.interval))] if item.interval else []
    return ServerSchedule(
        action=ScheduleActionStartWorkflow(
            item.workflow, args=list(item.args), id=item.name, task_queue=item.task_queue
        ),
        spec=ScheduleSpec(cron_expressions=[item.cron] if item.cron else [], intervals=intervals),
        policy=SchedulePolicy(catchup_window=_CATCH_UP),
    )
