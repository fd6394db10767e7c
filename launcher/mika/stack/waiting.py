"""Waiting for units of a running stack, from another process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mika.control.client import Client
from mika.errors import MikaError, NotRunningError
from mika.status import StackStatus, UnitStatus
from mika.text import unknown_name

_INTERVAL = 0.1
_DOWN_INTERVAL = 0.05
_FORCED_SECONDS = 15.0


def until_ready(client: Client, names: Sequence[str], timeout: float) -> StackStatus:
    """The status once everything named (or the whole stack) is ready. `timeout` in seconds.

    Raises MikaError at the time-out and for what will not become ready, UsageError for an unknown name.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = client.status()
        chosen = _chosen(status, names) if names else status.processes
        for unit in chosen:
            if unit.has_failed:
                raise gave_up(unit)
        if status.state == "stopping":
            raise MikaError("the stack is stopping", "start it again: `mika up`", code="stopping")
        if all(unit.is_well for unit in chosen) if names else status.state == "ready":
            return status
        if time.monotonic() >= deadline:
            raise MikaError(
                f"not ready after {timeout:.0f} s: {why_not_ready(status)}", "see `mika logs`", code="not_ready"
            )
        time.sleep(_INTERVAL)


def until_stopped(client: Client, names: Sequence[str], timeout: float) -> StackStatus:
    """The status once none of `names` runs. Raises MikaError after `timeout` seconds."""
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
            raise MikaError(
                f"still running after {timeout:.0f} s: {', '.join(running)}", "`mika down` ends it", code="not_stopped"
            )
        time.sleep(_INTERVAL)


def until_down(client: Client, timeout: float) -> bool:
    """Ask the supervisor to stop and wait for it; force after `timeout` seconds. False when none was running.

    Raises MikaError when even that does not help.
    """
    deadline = time.monotonic() + timeout
    is_asked = is_forced = False
    while client.folder.is_locked():
        is_late = time.monotonic() >= deadline
        if is_late and is_forced:
            state = client.folder.read_state()
            raise MikaError(
                "the supervisor does not stop",
                f"kill its process (pid {state.pid if state else 'unknown'}): its services then stop by themselves",
                code="not_stopped",
            )
        if is_late:
            deadline += _FORCED_SECONDS
            is_forced = _ask_down(client, force=True) or True
        elif not is_asked:
            is_asked = _ask_down(client)
        time.sleep(_DOWN_INTERVAL)
    return is_asked


def _ask_down(client: Client, *, force: bool = False) -> bool:
    """Whether it was told; it may be just starting, or gone."""
    try:
        client.down(force=force)
    except (NotRunningError, MikaError):
        return False
    return True


def gave_up(unit: UnitStatus) -> MikaError:
    logs = f"see `mika logs {unit.name}`"
    fix = f"{unit.reason.fix}; {logs}" if unit.reason.fix else logs
    return MikaError(f"{unit.name} gave up: {unit.reason.text}", fix, code="gave_up")


def why_not_ready(status: StackStatus | None) -> str:
    """What a status lacks to be ready, each with its reason."""
    if status is None:
        return "the supervisor does not answer"
    late = [unit for unit in status.units if not unit.is_well]
    return "; ".join(f"{unit.name} is {unit.state}: {unit.reason.text}" for unit in late)


def _chosen(status: StackStatus, names: Sequence[str]) -> list[UnitStatus]:
    chosen: list[UnitStatus] = []
    for name in names:
        meant = status.called(name)
        if not meant:
            raise unknown_name("process", name, [unit.name for unit in status.units])
        chosen += meant
    return chosen
