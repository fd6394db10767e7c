"""Why a unit was not ready in time: lines for the end of `mika up`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mika.config.load import Config
from mika.doctor.check import Check
from mika.doctor.checks import api, docker, ports, server, worker
from mika.doctor.examination import Examination
from mika.project.folder import ProjectDir
from mika.reason import NONE, Reason
from mika.status import UnitStatus

TIMEOUT = 4.0


async def explain(config: Config, folder: ProjectDir, late: UnitStatus) -> Reason:
    """Cause and fix of a unit that is not ready; without a text where the unit's own reason says it all.

    Never raises, and takes at most TIMEOUT seconds.
    """
    try:
        async with Examination(config, folder) as exam, asyncio.timeout(TIMEOUT):
            check = await _first_failure(exam, late)
    except Exception:  # noqa: BLE001 - a diagnosis that fails must not hide the failure that it was to explain
        return NONE
    if check is None or check.unit == late.name or check.reason == late.reason:
        return Reason("", late.reason.fix)
    return check.reason


async def _first_failure(exam: Examination, late: UnitStatus) -> Check | None:
    """The first failed check on the way to `late`."""
    for check in (docker.docker, ports.ports, server.temporal, server.namespace):
        result = await check(exam)
        if result.status == "fail":
            return result
    checks: Sequence[Check] = ()
    process = next((process for process in await exam.processes() if process.name == late.type), None)
    if process is not None and process.queues:
        checks = [await worker.of_queue(exam, queue) for queue in process.queues]
    elif process is not None and process.place:
        checks = [await api.of_process(exam, process)]
    return next((check for check in checks if check.status == "fail"), None)
