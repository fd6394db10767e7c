"""All checks at once, each with a time limit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from mika.config.load import Config
from mika.diagnosis.temporal import CallError, call_error
from mika.doctor.check import Check, Report, fail, skipped, unknown
from mika.doctor.checks import (
    api,
    declared,
    dependencies,
    docker,
    history,
    llm,
    log,
    ports,
    project,
    server,
    stack,
    versions,
    worker,
    workflows,
)
from mika.doctor.examination import Examination
from mika.errors import MikaError, UsageError, describe
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.wording import _

TIMEOUT = 5.0
_LLM_SECONDS = 15.0

Result = Check | Sequence[Check] | None
"""Several lines, if there are several of what is checked; None: this project has nothing of that kind."""

CHECKS: tuple[tuple[str, Callable[[Examination], Awaitable[Result]]], ...] = (
    ("config", project.config),
    ("versions", versions.versions),
    ("disk", project.disk),
    ("stack", stack.stack),
    ("docker", docker.docker),
    ("ports", ports.ports),
    ("temporal", server.temporal),
    ("namespace", server.namespace),
    ("clock", server.clock),
    ("declared", declared.declared),
    ("history", history.history),
    ("worker", worker.worker),
    ("queue", worker.queue),
    ("api", api.api),
    ("dependencies", dependencies.dependencies),
    ("timeouts", workflows.timeouts),
    ("workflows", workflows.workflows),
    ("llm", llm.llm),
    ("ui", server.ui),
    ("logs", log.log_files),
)
"""In the order in which to fix them: what others depend on comes first."""
_ROOTS = ("docker", "ports", "temporal", "namespace", "stack")


async def examine(config: Config, folder: ProjectDir, *, timeout: float = TIMEOUT, llm: bool = False) -> Report:
    """Takes at most a little longer than `timeout` seconds; with `llm`, that check has 15 s more."""

    async def run(check_id: str, check: Callable[[Examination], Awaitable[Result]]) -> Sequence[Check]:
        limit = timeout + (_LLM_SECONDS if check_id == "llm" and llm else 0.0)
        try:
            async with asyncio.timeout(limit) as deadline:
                result = await check(exam)
                return [result] if isinstance(result, Check) else result or ()
        except Exception as error:  # noqa: BLE001 - a check that breaks must not prevent the others
            if deadline.expired():
                why = _("not done within {seconds:g} s; is this machine busy?", seconds=limit)
                return [
                    unknown(check_id, why, _("try again: `mika doctor --timeout {seconds:g}`", seconds=2 * timeout))
                ]
            return [_broken(exam, check_id, error)]

    async with Examination(config, folder, llm=llm) as exam:
        results = await asyncio.gather(*(run(check_id, check) for check_id, check in CHECKS))
        checks = _consequences([check for result in results for check in result])
        return Report(checks, is_down=not llm and _is_down(checks))


def _broken(exam: Examination, check_id: str, error: Exception) -> Check:
    """Temporal has not answered a request, or not well: that is a finding. Of anything else nothing is known."""
    sdk = sys.modules.get("temporalio.service")  # not imported for this
    if sdk is not None and isinstance(error, sdk.RPCError):
        answer = _("it does not answer") if call_error(error) == CallError.TIMEOUT else describe(error)
        text = _("Temporal was asked for this: {answer}", answer=answer)
        return Check(check_id, "fail", Reason(text, server.its_log_says_why(exam)), unanswered=True)
    hint = error.hint if isinstance(error, MikaError) else ""
    return unknown(check_id, describe(error), hint or _("try again; if it stays so, please report it"))


def _consequences(checks: Sequence[Check]) -> tuple[Check, ...]:
    """What Temporal does not answer is not a second failure while something that it needs is down."""
    failed = {check.id for check in checks if check.status == "fail"}
    root = next((check_id for check_id in _ROOTS if check_id in failed), "")
    return tuple(skipped(c.id, c.finding, root) if c.unanswered and root not in ("", c.id) else c for c in checks)


def _is_down(checks: Sequence[Check]) -> bool:
    """Whether there is no supervisor, and nothing that answers."""
    status = {check.id: check.status for check in checks}
    return status.get("stack") == "skip" and "ok" not in (status.get(each) for each in ("temporal", "worker", "api"))


def broken_configuration(error: UsageError) -> Report:
    """The report when the settings cannot be read."""
    rest = [skipped(check_id, _("the configuration cannot be read"), "config") for check_id, _check in CHECKS[1:]]
    return Report((fail("config", error.message, error.hint or _("correct it there")), *rest))
