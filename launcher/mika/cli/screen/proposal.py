"""What was found in a project without a Procfile, as a table for people."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from mika.config.environment import find_environment
from mika.config.load import Config
from mika.detect import written
from mika.detect.compose import ComposeFile, Service
from mika.detect.proposal import Process, Proposal

_HEADS = ("PROCESS", "COMMAND", "FOLDER", "ENVIRONMENT", "QUEUE", "READY")


def render(proposal: Proposal, config: Config) -> str:
    rows = [
        (
            process.name,
            process.command,
            process.cwd,
            _environment(process, config) or process.environment.tool or "none",
            ", ".join(process.queues),
            process.ready if process.restart == "always" else "runs once",
        )
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
    notes += [*proposal.notes, *_missing(proposal, config)]
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


def _environment(process: Process, config: Config) -> str:
    """Where the Python of a process is; empty if the project has no environment that mika knows of.

    Another language has its tool, and Node its packages.
    """
    tool = process.environment
    if tool.is_node:
        return tool.tool if (config.project / tool.folder / "node_modules").is_dir() else ""
    if tool.tool and not tool.is_kept:
        return tool.tool
    found = find_environment([config.project / process.cwd, config.project], os.environ)
    if found is None:
        return ""
    inside = found.root.is_relative_to(config.project)
    return (found.root.relative_to(config.project) if inside else found.root).as_posix()


def _missing(proposal: Proposal, config: Config) -> Iterator[str]:
    """The environments that are declared and not made yet."""
    without = [process for process in proposal.processes if not _environment(process, config)]
    for declared in dict.fromkeys(process.environment for process in without):
        if declared.tool:
            yield f"{declared.folder or 'this folder'} has no environment yet: {declared.install()}"
