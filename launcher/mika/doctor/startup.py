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

TIMEOUT = 4.0


async def explain(config: Config, folder: ProjectDir, service: str, error: str) -> str:
    """Cause and fix in at most two lines, or an empty string when the rung's own error is all that is to be said.

    `service` is the unit that is not ready (`temporal`, `worker`, `api`, ...), `error` the last one of
    the rung where it stands. Never raises, and takes at most TIMEOUT seconds.
    """
    x = Examination(config, folder)
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await _cause(x, service.partition(".")[0])
    except Exception:  # noqa: BLE001 - a diagnosis that fails must not hide the failure that it was to explain
        return ""
    finally:
        await x.close()
    # A container's finding may be no more than its rung's own words.
    if found is None or found.finding == error or (found.id == "docker" and error and error in found.finding):
        return ""
    return f"{found.finding}\n{found.fix}" if found.fix else found.finding


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
