"""What a running stack takes of changed settings (`.env`, mika.toml, pyproject.toml, Procfile).

`mika up --watch` reads them when they change, `mika restart NAME` whenever it is called.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from mika import events
from mika.config.load import Config, load
from mika.errors import UsageError
from mika.events import Bus
from mika.frozen import frozen
from mika.procfile import entries as procfile
from mika.reason import Reason
from mika.replay.check import spec_of
from mika.replay.keeping import as_watched
from mika.stack.attach import not_in_stack
from mika.supervisor.managed import Managed
from mika.supervisor.supervisor import Supervisor, Verb
from mika.supervisor.unit import Unit
from mika.wording import _, joined, listed

if TYPE_CHECKING:
    from mika.stack.prepared import Prepared, UpOptions

_OF_THE_STACK = ("MIKA_BACKEND",)
_SHOWN = 3


@frozen
class Change:
    """`units` are those of the processes as they are now, `restart` says why which of them must be restarted."""

    units: Mapping[str, Unit]
    restart: Mapping[str, str]
    not_taken: tuple[str, ...] = ()
    """What only a new `mika up` takes."""


class SettingsOfTheStack:
    """The settings of a running stack. Where it is (addresses, backend) does not change before the next `mika up`."""

    def __init__(self, prepared: Prepared, selection: Sequence[str], *, is_watched: bool) -> None:
        self._started, self._latest, self._factory = prepared.config, prepared.config, prepared.factory
        self._backend, self._selection, self._is_watched = prepared.backend.name, selection, is_watched
        self._differ = frozenset[str]()
        """The processes that only the running stack or only the Procfile has, as told last."""

    def read(self, running: Mapping[str, Unit]) -> Change:
        """Read them again. `running` are the units of the processes. Raises UsageError for a mistake in them."""
        latest = self._as_given(load(self._started.project)).for_backend(self._backend)
        config = latest.as_started(self._started.addresses())
        processes = self._factory.with_config(config).units(self._selection)
        units = {unit.name: as_watched(unit) if self._is_watched else unit for unit in processes}
        not_taken = tuple(self._not_taken(latest, config, running, units))
        self._latest = latest
        taken = {name: unit for name, unit in units.items() if name in running}
        why = {name: _difference(running[name], unit) for name, unit in taken.items()}
        return Change(taken, {name: text for name, text in why.items() if text}, not_taken)

    def _as_given(self, config: Config) -> Config:
        """With the options of `mika up`, and what it found where there is no Procfile."""
        options = {name: s for name, s in self._started.settings.items() if s.origin.startswith("--")}
        found = {name: s for name, s in self._started.settings.items() if s.origin.startswith("found ")}
        default = {name for name, setting in config.settings.items() if setting.origin == "default"}
        found = {name: setting for name, setting in found.items() if name in default}
        config = replace(config, settings=MappingProxyType({**config.settings, **found, **options}))
        if self._factory.has_procfile:
            return config
        processes = {**config.processes, **self._started.processes}
        return replace(config, processes=MappingProxyType(processes))

    def _not_taken(
        self, latest: Config, config: Config, running: Collection[str], units: Collection[str]
    ) -> Iterator[str]:
        names = [*config.outdated, *(name for name in _OF_THE_STACK if self._is_other(latest, name))]
        yield from (name for name in names if latest.text(name) != self._latest.text(name))
        if latest.declarations != self._latest.declarations:
            yield _("[temporal] and [schedule.NAME]")
        if latest.names != self._latest.names:
            yield _("the list of services")
        differ = frozenset(running) ^ frozenset(units)
        if differ and differ != self._differ:
            new = listed(sorted(differ.intersection(units)))
            gone = listed(sorted(differ.intersection(running)))
            parts = [_("new: {names}", names=new)] if new else []
            parts += [_("gone: {names}", names=gone)] if gone else []
            yield _("the list of processes ({difference})", difference=joined("; ", parts))
        self._differ = differ

    def _is_other(self, latest: Config, name: str) -> bool:
        return latest.text(name) != self._started.text(name)


async def take(
    prepared: Prepared, options: UpOptions, supervisor: Supervisor, verb: Verb, names: Sequence[str], bus: Bus
) -> list[str]:
    """Give the processes that are to be started their settings as they are now; returns what the user should know.

    A mistake in them is told, and changes nothing: a restart must work all the same. Raises UsageError for an unknown
    name. With `--watch`, they were given them as soon as the files had changed, but for an environment of Python that
    was made, moved or removed since: nobody watches that.
    """
    try:
        selected = supervisor.select(names)
    except UsageError:
        if left_out := await asyncio.to_thread(_left_out, prepared.config, supervisor.managed.values(), names):
            raise left_out from None
        raise
    starting = {name for name, m in selected.items() if verb == "restart" or not m.state.alive}
    managed = {name: m for name, m in supervisor.managed.items() if m.unit.role == "process"}
    if verb == "stop" or starting.isdisjoint(managed):
        return []
    settings = SettingsOfTheStack(prepared, options.processes, is_watched=options.watch)
    try:
        change = await asyncio.to_thread(settings.read, {name: m.unit for name, m in managed.items()})
    except UsageError as error:
        text = _("nothing of changed settings is taken: {why}", why=Reason(error.message, error.brief_hint))
        bus.publish(events.Notice(level="warning", message=text))
        return [text]
    for name in starting & set(change.units):
        managed[name].unit = change.units[name]
    taken = [
        (name, _("takes changed settings: {what}", what=what))
        for name, what in change.restart.items()
        if name in starting
    ]
    left = [
        ("", _("settings changed: `mika down`, then `mika up` takes {what}", what=what)) for what in change.not_taken
    ]
    for name, text in [*taken, *left]:
        bus.publish(events.Notice(name=name, level="info", message=text))
    return [joined(" ", filter(None, (name, text))) for name, text in [*taken, *left]]


def _left_out(config: Config, managed: Iterable[Managed], names: Sequence[str]) -> UsageError | None:
    """What to say of names that the Procfile has and the stack has not: it is newer, or `up` was asked for others."""
    running = {name for m in managed for name in (m.unit.name, m.unit.type)}
    with contextlib.suppress(UsageError):  # then nothing is known of these names
        written = {entry.name for entry in procfile.read(config.project / "Procfile")}
        if missing := written.intersection(names) - running:
            why = not_in_stack(missing, {m.unit.type for m in managed if m.unit.role == "process"})
            return UsageError(why.text, why.fix, code="not_in_stack")
    return None


def _difference(old: Unit, new: Unit) -> str:
    """Why a process must be restarted to take its settings; empty if nothing is different for it."""
    before, after = spec_of(old), spec_of(new)
    if before is None or after is None:
        return ""
    if before.env != after.env:
        names = sorted(n for n in {*before.env, *after.env} if before.env.get(n) != after.env.get(n))
        shown = listed(names[:_SHOWN])
        return _("{names} and {count} more", names=shown, count=len(names) - _SHOWN) if names[_SHOWN:] else shown
    if before.command != after.command:
        return _("its command")
    return "" if (before, old.address) == (after, new.address) else _("its options")
