"""Check the new code of processes before it replaces the old: `mika check`, and the question of `mika restart`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from mika.config.load import Config
from mika.control.client import Client
from mika.detect import written
from mika.errors import NotRunningError, UsageError
from mika.project.folder import ProjectDir
from mika.replay.check import TIMEOUT, Program, check_program, may_be_worker
from mika.replay.program import Order
from mika.replay.verdict import Verdict
from mika.stack.prepared import prepare
from mika.status import Phase, StackStatus
from mika.supervisor.sweep import own_run_id
from mika.supervisor.unit import Unit
from mika.text import unknown_name
from mika.wording import _


def check_running(config: Config, folder: ProjectDir, types: Sequence[str]) -> list[Verdict]:
    """The verdicts on those of these processes that may be checked."""
    workers = [unit.type for unit in may_be_worker(_processes(config, folder)) if unit.type in types]
    return check(config, folder, workers, Order(do="check")) if workers else []


def check(
    config: Config, folder: ProjectDir, names: Sequence[str], order: Order, *, timeout: float = TIMEOUT
) -> list[Verdict]:
    """The verdicts on the processes with these names or types; without names, on those that poll a task queue.

    `timeout` is in seconds for each of them. Raises UsageError for a name that no process has.
    """
    chosen = programs(config, folder, names)

    async def one_after_the_other() -> list[Verdict]:
        return [await check_program(program, order, timeout=timeout) for program in chosen]

    verdicts = asyncio.run(one_after_the_other())
    return [_without_types_of_others(verdict, verdicts) for verdict in verdicts] if order.histories else verdicts


def _without_types_of_others(verdict: Verdict, verdicts: Sequence[Verdict]) -> Verdict:
    """A recorded run says nothing of its process: its type is gone only if no process has it."""
    gone = {kind: runs for kind, runs in verdict.gone.items() if all(kind in each.gone for each in verdicts)}
    return replace(verdict, gone=gone)


def programs(config: Config, folder: ProjectDir, names: Sequence[str] = ()) -> list[Program]:
    """The processes with these names or types; without names, those that poll a task queue. Not for an event loop.

    Raises UsageError for a name that no process has, and where there are no processes.
    """
    status, state = _status(folder), folder.read_state()
    chosen = _choose(_processes(config, folder), names)
    run_id = state.run_id if status is not None and state is not None else ""
    # One that is only starting may not have loaded the SDK yet, so it says nothing of what it will be.
    started = [unit for unit in status.processes if unit.phase is not Phase.STARTING] if status is not None else []
    live = {unit.type: unit.pid for unit in started if unit.pid}
    return [Program(unit, folder, run_id or own_run_id(), live.get(unit.type, 0)) for unit in chosen]


def _processes(config: Config, folder: ProjectDir) -> list[Unit]:
    """Those of the Procfile, or else of what is found in the project."""
    if (config.project / "Procfile").exists():
        return prepare(config, folder).factory.units(())
    proposal = written.proposed(config)
    if not proposal.processes:
        raise UsageError(
            _("Procfile: not found in {folder}, nor a worker of Temporal", folder=config.project),
            _("give its folder with -C"),
        )
    return prepare(written.configured(proposal, config), folder, written.entries(proposal)).factory.units(())


def _choose(units: Sequence[Unit], names: Sequence[str]) -> list[Unit]:
    if not names:
        return may_be_worker(units)
    chosen: dict[str, Unit] = {}
    for name in names:
        unit = next((unit for unit in units if name in (unit.name, unit.type)), None)
        if unit is None:
            raise unknown_name(_("process"), name, [unit.type for unit in units])
        chosen[unit.type] = unit
    return list(chosen.values())


def _status(folder: ProjectDir) -> StackStatus | None:
    try:
        return Client(folder).status()
    except NotRunningError:
        return None
