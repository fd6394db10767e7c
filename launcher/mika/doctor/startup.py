"""Why a rung of the start was not reached: a line for the end of `mika up`."""

from __future__ import annotations

import asyncio

from mika.config.load import Config
from mika.doctor.check import Check
from mika.doctor.checks import api as api_checks
from mika.doctor.checks import docker as docker_checks
from mika.doctor.checks import project as project_checks
from mika.doctor.checks import server as server_checks
from mika.doctor.checks import worker as worker_checks
from mika.doctor.examination import Examination
from mika.project.folder import ProjectDir
from mika.reason import NONE, Reason
from mika.status import UnitStatus

TIMEOUT = 4.0


async def explain(config: Config, folder: ProjectDir, late: UnitStatus) -> Reason:
    """Cause and fix of a unit that is not ready; NONE when its own reason is all that is to be said.

    Never raises, and takes at most TIMEOUT seconds.
    """
    x = Examination(config, folder)
    try:
        async with asyncio.timeout(TIMEOUT):
            cause = await _cause(x, late.type)
    except Exception:  # noqa: BLE001 - a diagnosis that fails must not hide the failure that it was to explain
        return NONE
    finally:
        await x.close()
    if cause is None or (cause.fix == late.reason.fix and cause.finding.endswith(late.reason.text)):
        return NONE
    return Reason(cause.finding, cause.fix)


async def _cause(x: Examination, service: str) -> Check | None:
    """The first failed check on the way to `service`."""
    way = [docker_checks.docker, project_checks.ports, server_checks.temporal, server_checks.namespace]
    if service in x.types("worker"):
        way.append(worker_checks.worker)
    elif service in x.types("api"):
        way.append(api_checks.api)
    for check in way:
        found = await check(x)
        if found.status == "fail":
            return found
    return None
