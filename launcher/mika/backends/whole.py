"""Temporal, and what the app needs, from the compose file."""

from __future__ import annotations

from collections.abc import Sequence

from mika.backends import infrastructure
from mika.backends.base import Backend
from mika.backends.beside import concerns, left_out, select, with_services
from mika.backends.docker import services
from mika.backends.docker.backend import Docker
from mika.backends.embedded import Embedded
from mika.backends.external import Nothing
from mika.backends.mentions import mentions_temporal
from mika.config.load import Config
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir
from mika.wording import _


def docker(config: Config, folder: ProjectDir, entries: Sequence[Entry]) -> tuple[Backend, str]:
    """The backend, and a sentence about it if the file has no Temporal: then that does not come from compose.

    Raises UsageError and MikaError.
    """
    plan = infrastructure.plan(config, "docker", entries)
    selection = select(config, "docker", plan, entries)
    if not any(service.kind == "temporal" for service in selection.all):
        if not mentions_temporal(config):
            note = _("neither the compose file nor the project mentions Temporal, so none is started")
            return with_services(Nothing(), config, folder, entries, is_asked=True), note
        note = _("the compose file has no Temporal, so mika runs it itself (backend embedded)")
        config = config.for_backend("embedded")
        return with_services(Embedded(config, folder), config, folder, entries, is_asked=True), note
    services.check_temporal(selection.file, config)
    services.check_mounts(selection.file, config.project)
    backend = Docker(config.for_backend("docker"), folder, selection.program, selection.file)
    kinds = {service.name: service.kind for service in selection.all}
    names = [service.name for service in selection.file.services]
    backend.needed = ("temporal", *(name for name in names if kinds[name] != "temporal"))
    backend.known = tuple(kinds)
    backend.left_out = left_out(plan.file.path if plan.file is not None else "", selection.choice)
    backend.concerns = tuple(concerns(config, selection.file, selection.all))
    return backend, ""
