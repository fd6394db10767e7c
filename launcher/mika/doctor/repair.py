"""What `mika doctor --fix` does."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from mika.control.requests import Verb
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.reason import Repair

_STEP = 0.1
_RETENTION = timedelta(days=3)
_BECOMES_READY = 20.0


async def perform(x: Examination, repair: Repair) -> str:
    """Do it, and say what was done. Raises MikaError. `sweep` and `up` are the command's own: they need its floor."""
    match repair.action:
        case "start" | "restart" as verb:
            return await _process(x, verb, repair)
        case "namespace":
            return await _namespace(x, repair.target)
    raise ValueError(repair.action)


async def _process(x: Examination, verb: Verb, repair: Repair) -> str:
    await in_thread(lambda: x.client.control(verb, [repair.target]))
    deadline = time.monotonic() + _BECOMES_READY
    while time.monotonic() < deadline:
        unit = (await in_thread(x.client.status)).unit(repair.target)
        if unit is not None and unit.is_ready:
            return f"{repair.action}ed {repair.target}"
        if unit is not None and unit.has_given_up:
            raise MikaError(f"{repair.target} gave up again: {unit.reason.text}", f"`mika logs {repair.target}`")
        await asyncio.sleep(_STEP)
    raise MikaError(f"{repair.target} is not ready after {_BECOMES_READY:.0f} s", f"`mika logs {repair.target}`")


async def _namespace(x: Examination, name: str) -> str:
    from temporalio.service import RPCError

    temporal = (await x.server()).temporal.in_namespace(name)
    try:
        await temporal.register_namespace(_RETENTION)
    except RPCError as error:
        raise MikaError(
            f"the namespace {name} could not be created: {error}", "is this user allowed to create one?"
        ) from None
    deadline = time.monotonic() + _BECOMES_READY
    while True:
        try:
            await temporal.describe_namespace()
        except RPCError as error:
            if time.monotonic() >= deadline:
                raise MikaError(f"the namespace {name} was created, but cannot be used yet: {error}") from None
            await asyncio.sleep(_STEP)
        else:
            return f"created the namespace {name}"
