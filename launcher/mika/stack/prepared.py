"""What `mika up` is to run: chosen and checked, and nothing of it running yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from mika import backends
from mika.backends.base import Backend
from mika.config.load import Config
from mika.errors import UsageError
from mika.frozen import frozen
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir
from mika.project.logs import EVENT_LOG
from mika.stack.processes import ProcessFactory
from mika.supervisor.unit import Unit
from mika.wording import _


@frozen
class UpOptions:
    """The options of `mika up`. `timeout` is in seconds, for the whole start."""

    processes: Sequence[str] = ()
    timeout: float = 120.0
    keep_services: bool = False
    watch: bool = False
    debug: Sequence[str] = ()


@frozen
class Prepared:
    """A stack whose configuration has been checked. Nothing of it is running yet."""

    config: Config
    folder: ProjectDir
    backend: Backend
    factory: ProcessFactory
    notes: tuple[str, ...] = ()
    _units: dict[tuple[str, ...], list[Unit]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By selection, as several ask: to make them reads what each program imports, which takes 0.1 s."""

    def units(self, selection: Sequence[str]) -> list[Unit]:
        """The services, then the processes that `selection` names. Raises UsageError for a mistake in them."""
        key = tuple(selection)
        if key not in self._units:
            self._units[key] = self._make_units(key)
        return list(self._units[key])

    def _make_units(self, selection: Sequence[str]) -> list[Unit]:
        services, processes = self.backend.units(), self.factory.units(selection)
        reserved = {service.name for service in services} | {EVENT_LOG}
        for process in processes:
            if process.name in reserved or process.type in reserved:
                raise UsageError(
                    _(
                        "Procfile: '{name}' is the name of a service of the {backend} backend",
                        name=process.type,
                        backend=self.backend.name,
                    ),
                    _("give the process another name, or use `--backend none` or `--backend external`"),
                )
        return [*services, *processes]


def prepare(config: Config, folder: ProjectDir, entries: Sequence[Entry] | None = None) -> Prepared:
    """Choose the backend, and check everything that can be checked without starting it. Raises UsageError.

    `entries` take the place of a Procfile.
    """
    backend, note = backends.make(config, folder, entries)
    config = config.for_backend(backend.name)
    factory = ProcessFactory(
        config, folder, needed=backend.needed, known=backend.known, env=backend.environment(), entries=entries
    )
    notes = [note, backend.left_out, *map(str, backend.concerns), *config.notes()]
    if config.declared and backend.name == "none":
        notes.append(_("backend none has no Temporal: nothing of [temporal] and [schedule.NAME] is made"))
    return Prepared(config, folder, backend, factory, tuple(filter(None, notes)))
