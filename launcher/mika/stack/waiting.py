"""Wait for units of a stack that another process supervises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.control.client import Client
from mika.errors import MikaError
from mika.project.folder import ProjectDir
from mika.reason import NONE
from mika.status import StackStatus, UnitStatus
from mika.text import unknown_name

if TYPE_CHECKING:
    from mika.config.load import Config

_INTERVAL = 0.1


def until_ready(client: Client, names: Sequence[str], timeout: float) -> StackStatus:
    """Return the status when the named units (or the whole stack) are ready. `timeout` is in seconds.

    Raises MikaError after the timeout or if a unit has failed, UsageError for an unknown name.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = client.status()
        selected = _select(status, names) if names else status.processes
        for unit in selected:
            if unit.has_failed:
                raise failure_of(unit)
        if status.state == "stopping":
            raise MikaError("the stack is stopping", "start it again: `mika up`", code="stopping")
        if all(unit.is_ok for unit in selected) if names else status.state == "ready":
            return status
        if time.monotonic() >= deadline:
            raise MikaError(
                f"not ready after {timeout:.0f} s: {why_not_ready(status)}", "see `mika logs`", code="not_ready"
            )
        time.sleep(_INTERVAL)


def until_stopped(client: Client, names: Sequence[str], timeout: float) -> StackStatus:
    """Return the status when none of `names` is running. Raises MikaError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        status = client.status()
        for unit in status.units:
            if unit.name in names and unit.has_given_up:
                raise MikaError(f"{unit.name}: {unit.reason.text}", unit.reason.fix, code="not_stopped")
        running = [unit.name for unit in status.units if unit.name in names and not unit.is_at_rest]
        if not running:
            return status
        if time.monotonic() >= deadline:
            message = f"still running after {timeout:.0f} s: {', '.join(running)}"
            raise MikaError(message, "`mika down` stops the whole stack", code="not_stopped")
        time.sleep(_INTERVAL)


def failure_of(unit: UnitStatus, advice: str = "") -> MikaError:
    """The error for a unit that will not be ready by itself. `advice` is what to do about it."""
    if unit.kind == "external":  # it has no log here
        return MikaError(f"{unit.name}: {unit.reason.text}", unit.reason.fix, code="unusable")
    logs = f"its output: `mika logs {unit.name}`" + (f"; {advice}" if advice else "")
    verb = "gave up" if unit.has_given_up else "failed"
    hint = f"{unit.reason.fix}\n{logs}" if unit.reason.fix else logs
    return MikaError(f"{unit.name} {verb}: {unit.reason.text}", hint, code=verb.replace(" ", "_"))


def why_not_ready(status: StackStatus | None) -> str:
    """The units that are not ready, each with its state and reason."""
    if status is None:
        return "the supervisor does not answer"
    not_ready = [unit for unit in status.units if not unit.is_ok]
    return "; ".join(f"{unit.name} is {unit.state}: {unit.reason.text}" for unit in not_ready)


async def not_ready(config: Config, folder: ProjectDir, units: Sequence[UnitStatus], seconds: float) -> MikaError:
    """The error with the reason of each unit, and the doctor's diagnosis while everything is still running."""
    from mika.doctor.startup import explain

    reasons = "; ".join(f"{unit.name}: {unit.reason.text or unit.state}" for unit in units)
    diagnosis = await explain(config, folder, units[0]) if units else NONE
    hint = "\n".join(filter(None, (diagnosis.text, diagnosis.fix)))
    return MikaError(
        f"not ready after {seconds:.0f} s: {reasons}",
        hint or "see `mika logs`, or allow more time with --timeout",
        code="not_ready",
    )


def _select(status: StackStatus, names: Sequence[str]) -> list[UnitStatus]:
    selected: list[UnitStatus] = []
    for name in names:
        matches = status.matching(name)
        if not matches:
            raise unknown_name("process", name, [unit.name for unit in status.units])
        selected += matches
    return selected
