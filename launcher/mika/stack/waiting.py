"""Wait for units of a stack that another process supervises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mika.control.client import Client
from mika.errors import MikaError
from mika.machine.family import compiler_in
from mika.project.folder import ProjectDir
from mika.reason import NONE
from mika.status import Phase, StackStatus, UnitStatus
from mika.text import unknown_name
from mika.wording import Text, _, joined, listed

if TYPE_CHECKING:
    from mika.config.load import Config

APPEARS = 10.0
"""Seconds in which a `mika up` that was started just before, `mika up & mika wait`, is taken to come up."""
_INTERVAL, _MAX_INTERVAL = 0.1, 0.5
_SHARE = 0.05
"""Whoever has waited for a while may wait longer for the next answer, by this share: each costs the supervisor CPU."""


def _pause(began: float) -> None:
    time.sleep(min(_MAX_INTERVAL, max(_INTERVAL, _SHARE * (time.monotonic() - began))))


def appears(folder: ProjectDir, seconds: float) -> bool:
    """Whether a supervisor runs there, or does so within `seconds`. Before it takes its lock, nothing tells of it."""
    deadline = time.monotonic() + seconds
    while not (is_there := folder.is_locked()) and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    return is_there


def until_ready(client: Client, names: Sequence[str], timeout: float, *, waited: float = 0.0) -> StackStatus:
    """Return the status when the named units (or the whole stack) are ready. `timeout` is in seconds.

    `waited`: how many of these have passed. Raises MikaError after the timeout or if a unit has failed, UsageError for
    an unknown name. What somebody has stopped is waited for as a stack is that does not run: until APPEARS.
    """
    began = time.monotonic()
    deadline = began + timeout - waited
    last_to_run = began
    while True:
        try:
            status = client.status()
        except MikaError as error:
            if error.code != "busy" or time.monotonic() >= deadline:  # it has its lock, and does not answer yet
                raise
            _pause(began)
            continue
        selected = _select(status, names) if names else status.processes
        for unit in selected:
            if unit.has_failed:
                raise failure_of(unit)
        if status.state == "stopping":
            raise MikaError(_("the stack is stopping"), _("start it again: `mika up`"), code="stopping")
        if all(unit.is_ok for unit in selected) if names else status.state == "ready":
            return status
        late = [unit for unit in (selected if names else status.units) if not unit.is_ok]
        now = time.monotonic()
        if not any(unit.phase is Phase.STOPPED and (names or unit.required) for unit in late):
            last_to_run = now
        if now >= deadline or now - last_to_run >= APPEARS:
            fixes = dict.fromkeys(unit.reason.fix for unit in late if unit.reason.fix)
            hint = joined("\n", fixes) or _("see `mika logs`")
            seconds = timeout if now >= deadline else waited + now - began
            raise MikaError(_late(seconds, why_not_ready(status)), hint, code="not_ready")
        _pause(began)


def until_stopped(client: Client, names: Sequence[str], timeout: float) -> StackStatus:
    """Return the status when none of `names` is running. Raises MikaError after `timeout` seconds."""
    began = time.monotonic()
    deadline = began + timeout
    while True:
        status = client.status()
        for unit in status.units:
            if unit.name in names and unit.has_given_up:
                raise MikaError(_with_name(unit, unit.reason.text), unit.reason.fix, code="not_stopped")
        running = [unit.name for unit in status.units if unit.name in names and not unit.is_at_rest]
        if not running:
            return status
        if time.monotonic() >= deadline:
            text = _("still running after {seconds:.0f} s: {names}", seconds=timeout, names=listed(running))
            raise MikaError(text, _("`mika down` stops the whole stack"), code="not_stopped")
        _pause(began)


def failure_of(unit: UnitStatus, advice: str = "") -> MikaError:
    """The error for a unit that will not be ready by itself. `advice` is what to do about it."""
    if unit.kind == "external":  # it has no log here
        return MikaError(_with_name(unit, unit.reason.text), unit.reason.fix, code="unusable")
    logs = _("its output: `mika logs {name}`", name=unit.name)
    if advice:
        logs = logs + _("; ") + advice
    hint = joined("\n", filter(None, (unit.reason.fix, logs)))
    if unit.has_given_up:
        return MikaError(_("{name} gave up: {why}", name=unit.name, why=unit.reason.text), hint, code="gave_up")
    return MikaError(_("{name} failed: {why}", name=unit.name, why=unit.reason.text), hint, code="failed")


def why_not_ready(status: StackStatus | None) -> str:
    """The units that are not ready, each with its state and reason."""
    if status is None:
        return _("the supervisor does not answer")
    return joined(_("; "), (_state(unit) for unit in status.units if not unit.is_ok))


def _state(unit: UnitStatus) -> Text:
    if unit.phase is Phase.STOPPED or not unit.reason.text:  # for one that was stopped there is nothing else to say
        return _("{name} is {state}", name=unit.name, state=unit.state_in_words)
    if unit.has_given_up:
        return _("{name} gave up: {why}", name=unit.name, why=unit.reason.text)
    return _("{name} is {state}: {reason}", name=unit.name, state=unit.state_in_words, reason=unit.reason.text)


def _late(seconds: float, why: str) -> Text:
    return _("not ready after {seconds:.0f} s: {why}", seconds=seconds, why=why)


def _with_name(unit: UnitStatus, text: str) -> Text:
    return _("{name}: {problem}", name=unit.name, problem=text)


async def not_ready(config: Config, folder: ProjectDir, units: Sequence[UnitStatus], seconds: float) -> MikaError:
    """The error with the reason of each unit, and the doctor's diagnosis while everything is still running."""
    from mika.config.cluster import address_origin
    from mika.doctor.startup import explain

    for unit in units:
        if unit.pid is not None and (compiler := compiler_in(unit.pid)):
            text = _("{name} is still being compiled (by {compiler})", name=unit.name, compiler=compiler)
            fix = _("compile it first, or allow more time: `mika up --timeout {seconds:.0f}`", seconds=5 * seconds)
            return MikaError(_late(seconds, text), fix, code="not_ready")
    reasons = joined(_("; "), (_with_name(unit, unit.reason.text or unit.state_in_words) for unit in units))
    diagnosis = await explain(config, folder, units[0]) if units else NONE
    hint = joined("\n", filter(None, (diagnosis.text, diagnosis.fix)))
    if not hint and units and units[0].kind == "external":  # no log here is its own
        setting = address_origin(config.settings, config.extras)
        hint = _("start that server, or correct {setting} (`mika config` shows all settings)", setting=setting)
    hint = hint or _listens_elsewhere(units) or _("see `mika logs`, or allow more time with --timeout")
    return MikaError(_late(seconds, reasons), hint, code="not_ready")


def _listens_elsewhere(units: Sequence[UnitStatus]) -> Text | None:
    """A process that listens, and not at the port at which its rule asks."""
    for unit in units:
        kind, _colon, target = unit.address.partition(":")
        if not unit.listens or kind not in ("http", "https", "tcp"):
            continue
        asked = urlsplit(unit.address.partition(" ")[0])
        port = target.strip() if kind == "tcp" else str(asked.port or (443 if kind == "https" else 80))
        if port not in {address.rpartition(":")[2] for address in unit.listens}:
            return _(
                "{name} listens at {addresses}, and its `ready` rule asks at port {port}: correct one of the two,"
                " or allow more time with --timeout",
                name=unit.name,
                addresses=listed(unit.listens),
                port=port,
            )
    return None


def _select(status: StackStatus, names: Sequence[str]) -> list[UnitStatus]:
    selected: list[UnitStatus] = []
    for name in names:
        matches = status.matching(name)
        if not matches:
            raise unknown_name(_("process"), name, [unit.name for unit in status.units])
        selected += matches
    return selected
