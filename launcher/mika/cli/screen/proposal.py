"""What was found in a project without a Procfile, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mika.config.load import Config
from mika.detect import written
from mika.detect.compose import ComposeFile, Service
from mika.detect.proposal import Proposal

_HEADS = ("PROCESS", "COMMAND", "FOLDER", "ENVIRONMENT", "QUEUE", "READY")


def render(proposal: Proposal, config: Config) -> str:
    rows = [
        (process.name, process.command, process.cwd, str(process.environment), ", ".join(process.queues), process.ready)
        for process in proposal.processes
    ]
    columns = [column for column in zip(_HEADS, *rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = [f"found in {config.project}:", ""]
    for cells in zip(*columns, strict=True):
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()]
    if proposal.compose is not None and proposal.compose.services:
        lines += ["", f"{proposal.compose.path}:", *_services(proposal.compose, written.configured(proposal, config))]
    notes = [f"{guess.why}: {name}={guess.value}" for name, guess in proposal.settings.items()]
    notes += [*proposal.notes, *_missing(proposal)]
    return "\n".join([*lines, *([""] if notes else []), *(f"{click.style('note', fg='yellow')}  {n}" for n in notes)])


def _services(file: ComposeFile, config: Config) -> Iterator[str]:
    """What becomes of each service with the backend of `config`."""
    width = max(len(service.name) for service in file.services)
    for service in file.services:
        yield f"  {service.name.ljust(width)}  {_fate(service, config.text('MIKA_BACKEND'))}"


def _fate(service: Service, backend: str) -> str:
    if backend in ("auto", "docker"):
        return "started" if backend == "docker" else "started, if Docker and its image are here"
    match service.kind:
        case "temporal":
            return "left out: mika runs Temporal itself"
        case "app":
            return "left out: it is what mika runs"
        case "infrastructure":
            ports = f" (port {', '.join(map(str, service.ports))})" if service.ports else ""
            return f"not started by mika, the app may need it{ports}: `docker compose up -d {service.name}`"
    return f"left out: it is not known what {service.image or service.name} is for"


def _missing(proposal: Proposal) -> Iterator[str]:
    """The environments that are declared and not made yet."""
    for environment in dict.fromkeys(process.environment for process in proposal.processes):
        if environment.install:
            yield f"{environment.folder or 'this folder'} has no environment yet: {environment.install}"
        elif environment.kind == "none":
            yield "no environment was found: `python` is the one on PATH"
