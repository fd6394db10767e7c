"""All checks at once, under one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mika.config.load import Config
from mika.doctor.check import Check, Report, skipped
from mika.doctor.checks import api as api_checks
from mika.doctor.checks import docker as docker_checks
from mika.doctor.checks import log as log_checks
from mika.doctor.checks import project as project_checks
from mika.doctor.checks import server as server_checks
from mika.doctor.checks import worker as worker_checks
from mika.doctor.examination import Examination
from mika.errors import UsageError
from mika.project.folder import ProjectDir

TIMEOUT = 5.0
_LLM_EXTRA = 15.0

CHECKS: tuple[tuple[str, Callable[[Examination], Awaitable[Check]]], ...] = (
    ("config", project_checks.config),
    ("versions", project_checks.versions),
    ("disk", project_checks.disk),
    ("stack", project_checks.stack),
    ("docker", docker_checks.docker),
    ("ports", project_checks.ports),
    ("temporal", server_checks.temporal),
    ("namespace", server_checks.namespace),
    ("clock", server_checks.clock),
    ("history", api_checks.history),
    ("worker", worker_checks.worker),
    ("queue", worker_checks.queue),
    ("api", api_checks.api),
    ("timeouts", worker_checks.timeouts),
    ("workflows", worker_checks.workflows),
    ("llm", api_checks.llm),
    ("ui", server_checks.ui),
    ("logs", log_checks.log_files),
)
"""In the order in which a person should mend them: what others depend on comes first."""


async def examine(config: Config, folder: ProjectDir, *, timeout: float = TIMEOUT, llm: bool = False) -> Report:
    """Never takes much longer than `timeout` seconds (with `llm`, 15 s more for its own check)."""
    x = Examination(config, folder, llm=llm)

    async def one(check_id: str, check: Callable[[Examination], Awaitable[Check]]) -> Check:
        limit = timeout + (_LLM_EXTRA if check_id == "llm" and llm else 0.0)
        try:
            async with asyncio.timeout(limit):
                return await check(x)
        except TimeoutError:
            return Check(check_id, "fail", f"no answer within {limit:g} s", "try again with a longer --timeout")
        except Exception as error:  # noqa: BLE001 - one broken check must not take the others with it
            text = " ".join(str(error).split())[:200] or type(error).__name__
            return Check(check_id, "fail", f"could not be checked: {text}", f"`mika doctor --timeout {2 * timeout:g}`")

    try:
        found = await asyncio.gather(*(one(check_id, check) for check_id, check in CHECKS))
    finally:
        await x.close()
    return Report(tuple(_consequences(found)))


def _consequences(found: list[Check]) -> list[Check]:
    """A check that fell behind its deadline, or broke, while what it needs is down is no second failure."""
    failed = {check.id for check in found if check.status == "fail"}
    root = next((cause for cause in ("docker", "ports", "temporal", "namespace") if cause in failed), "")
    unanswered = ("no answer within ", "could not be checked: ")
    return [
        skipped(check.id, root, check.finding)
        if root and check.id != root and check.status == "fail" and check.finding.startswith(unanswered)
        else check
        for check in found
    ]


def broken_configuration(error: UsageError) -> Report:
    """The report when the settings cannot even be read."""
    rest = [skipped(check_id, "config", "the configuration cannot be read") for check_id, _ in CHECKS[1:]]
    return Report((Check("config", "fail", error.message, error.hint or "mend that line"), *rest))
