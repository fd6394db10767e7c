"""What `mika doctor --fix` does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from mika.config.load import Config
from mika.control.requests import Verb
from mika.doctor.check import Check, Report
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.project.folder import ProjectDir
from mika.reason import Repair
from mika.supervisor.survivors import describe_survivors, recall
from mika.supervisor.sweep import sweep_if_idle
from mika.wording import _, listed

_STEP = 0.1
_RETENTION = timedelta(days=3)
_READY_SECONDS = 20.0


def repair_all(
    config: Config,
    folder: ProjectDir,
    report: Report,
    *,
    agrees: Callable[[Check, Repair], bool],
    start_stack: Callable[[], None],
    say: Callable[[str], None],
) -> bool:
    """Do what the checks propose, and `say` what came of it; returns whether anything was done.

    `agrees` is asked before a repair that is not safe. `start_stack` runs `mika up -d`; it raises MikaError.
    """
    done = False
    for check in report.checks:
        repair = check.repair
        if repair is None or not (repair.is_safe or agrees(check, repair)):
            continue
        try:
            if repair.action == "up":
                start_stack()
                result: str = _("started the stack")
            else:
                result = asyncio.run(_repair(config, folder, repair))
        except MikaError as error:
            why = (
                _("{message} ({hint})", message=error.message, hint=hint)
                if (hint := error.brief_hint)
                else error.message
            )
            say(_("{check}: {result}", check=check.id, result=why))
            continue
        done = True
        say(_("{check}: {result}", check=check.id, result=result))
    return done


async def _repair(config: Config, folder: ProjectDir, repair: Repair) -> str:
    async with Examination(config, folder) as exam:
        match repair.action:
            case "start" | "restart" as verb:
                return await _control(exam, verb, repair.target)
            case "namespace":
                return await _create_namespace(exam, repair.target)
            case "sweep":
                return _sweep(folder)
    raise ValueError(repair.action)


def _sweep(folder: ProjectDir) -> str:
    swept = sweep_if_idle(folder)
    folder.clear_state()
    if survivors := recall(folder):
        reason = describe_survivors(survivors)
        raise MikaError(reason.text, reason.fix)
    if not swept:
        return _("cleared what a killed run left")
    return _("cleared what a killed run left: {processes}", processes=listed(map(str, swept)))


async def _control(exam: Examination, verb: Verb, name: str) -> str:
    logs, deadline = f"`mika logs {name}`", time.monotonic() + _READY_SECONDS
    await in_thread(lambda: exam.client.control(verb, [name]))
    while time.monotonic() < deadline:
        unit = (await in_thread(exam.client.status)).unit(name)
        if unit is not None and unit.is_ok:
            return _("restarted {name}", name=name) if verb == "restart" else _("started {name}", name=name)
        if unit is not None and unit.has_failed:
            raise MikaError(_("{name} gave up again: {reason}", name=name, reason=unit.reason.text), logs)
        await asyncio.sleep(_STEP)
    raise MikaError(_("{name} is not ready after {seconds:.0f} s", name=name, seconds=_READY_SECONDS), logs)


async def _create_namespace(exam: Examination, name: str) -> str:
    import tenacity
    from temporalio.service import RPCError

    temporal, is_made = (await exam.temporal()).in_namespace(name), False
    try:
        await temporal.register_namespace(_RETENTION)
        is_made = True
        async for attempt in tenacity.AsyncRetrying(
            wait=tenacity.wait_fixed(_STEP), stop=tenacity.stop_after_delay(_READY_SECONDS), reraise=True
        ):
            with attempt:
                await temporal.describe_namespace()
    except RPCError as error:
        text = (
            _("the namespace {name} was created, but cannot be used yet: {error}", name=name, error=error)
            if is_made
            else _("the namespace {name} could not be created: {error}", name=name, error=error)
        )
        raise MikaError(text, _("may this user create one?")) from None
    return _("created the namespace {name}", name=name)
