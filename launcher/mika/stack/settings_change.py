"""`mika up --watch`: what a running stack takes of changed settings (`.env`, mika.toml, pyproject.toml, Procfile)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mika.config.load import Config, load
from mika.replay.check import spec_of
from mika.replay.keeping import as_watched
from mika.stack.processes import ProcessFactory
from mika.supervisor.unit import Unit

_OF_THE_STACK = ("MIKA_BACKEND",)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Change:
    """`units` are those of the processes as they are now, `restart` says why which of them must be restarted."""

    units: Mapping[str, Unit]
    restart: Mapping[str, str]
    not_taken: tuple[str, ...] = ()
    """What only a new `mika up` takes."""


class SettingsOfTheStack:
    """The settings of a running stack. Where it is (addresses, backend) does not change before the next `mika up`."""

    def __init__(self, config: Config, factory: ProcessFactory, backend: str, selection: Sequence[str]) -> None:
        self._started, self._latest, self._factory = config, config, factory
        self._backend, self._selection = backend, selection

    def read(self, running: Mapping[str, Unit]) -> Change:
        """Read them again. `running` are the units of the processes. Raises UsageError for a mistake in them."""
        latest = self._as_given(load(self._started.project)).for_backend(self._backend)
        config = latest.as_started(self._started.addresses())
        processes = self._factory.with_config(config).units(self._selection)
        units = {unit.name: as_watched(unit) for unit in processes}
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
            yield "[temporal] and [schedule.NAME]"
        if latest.names != self._latest.names:
            yield "the list of services"
        yield from (f"the process {name}" for name in sorted(set(running) ^ set(units)))

    def _is_other(self, latest: Config, name: str) -> bool:
        return latest.text(name) != self._started.text(name)


def _difference(old: Unit, new: Unit) -> str:
    """Why a process must be restarted to take its settings; empty if nothing is different for it."""
    before, after = spec_of(old), spec_of(new)
    if before is None or after is None:
        return ""
    if before.env != after.env:
        names = sorted(n for n in {*before.env, *after.env} if before.env.get(n) != after.env.get(n))
        return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    if before.command != after.command:
        return "its command"
    return "" if (before, old.address) == (after, new.address) else "its options"
