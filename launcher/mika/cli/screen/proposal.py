"""What was found in a project without a Procfile, as a table for people."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mika.backends.choice import planned
from mika.backends.infrastructure import Plan
from mika.cli.language import shown
from mika.cli.screen.colours import WAITING, paint
from mika.cli.screen.width import pad, width
from mika.config.environment import between, find_environment
from mika.config.load import Config
from mika.detect import written
from mika.detect.findings import Process, Proposal
from mika.project.folder import ProjectDir
from mika.wording import _

_HEADS = (_("PROCESS"), _("COMMAND"), _("FOLDER"), _("ENVIRONMENT"), _("QUEUE"), _("READY"))


def render(proposal: Proposal, config: Config) -> str:
    rows = [
        (
            process.name,
            process.command,
            process.cwd,
            _environment(process, config) or process.environment.tool or shown(_("none")),
            ", ".join(process.queues),
            process.ready if process.restart == "always" else shown(_("runs once")),
        )
        for process in proposal.processes
    ]
    columns = [column for column in zip(map(shown, _HEADS), *rows, strict=True) if any(column[1:])]
    widths = [max(map(width, column)) for column in columns]
    lines = [shown(_("found in {folder}:", folder=config.project)), ""]
    for cells in zip(*columns, strict=True):
        lines += ["  ".join(pad(cell, wide) for cell, wide in zip(cells, widths, strict=True)).rstrip()]
    configured, entries = written.configured(proposal, config), written.entries(proposal)
    plan, other = planned(configured, ProjectDir(config.project), entries)
    if plan.file is not None and plan.services:
        lines += ["", f"{plan.file.path}:", *_services(plan, other)]
    notes: list[str] = [
        _("{context}: {text}", context=guess.why, text=f"{name}={guess.value}")
        for name, guess in proposal.settings.items()
    ]
    notes += [*proposal.notes, *_missing(proposal, config)]
    head = paint(shown(_("note")), WAITING)
    return "\n".join([*lines, *([""] if notes else []), *(f"{head}  {shown(note)}" for note in notes)])


def _services(plan: Plan, other: Plan | None) -> Iterator[str]:
    """What becomes of each service; `other`: the plan if everything for Docker is here."""
    widest = max(width(service.name) for service in plan.services)
    with_docker = other.choice.started if other is not None else ()
    left_out = dict(plan.choice.left_out)
    for service in plan.services:
        fate = _("started, if Docker is here")
        if service.name in left_out:
            fate = _("left out: {reason}", reason=left_out[service.name])
            if service.name in with_docker:
                fate = _("started, if Docker and all images are here; else mika runs Temporal itself")
        yield f"  {pad(service.name, widest)}  {shown(fate)}"


def _environment(process: Process, config: Config) -> str:
    """Where the Python of a process is; empty if the project has no environment that mika knows of.

    Another language has its tool, and Node its packages.
    """
    tool = process.environment
    if tool.is_node:
        return tool.tool if (config.project / tool.folder / "node_modules").is_dir() else ""
    if tool.tool and not tool.is_kept:
        return tool.tool
    found = find_environment(between(config.project / process.cwd, config.project), os.environ)
    if found is None:
        return ""
    inside = found.root.is_relative_to(config.project)
    return (found.root.relative_to(config.project) if inside else found.root).as_posix()


def _missing(proposal: Proposal, config: Config) -> Iterator[str]:
    """The environments that are declared and not made yet."""
    without = [process for process in proposal.processes if not _environment(process, config)]
    for declared in dict.fromkeys(process.environment for process in without):
        if declared.tool:
            if declared.folder:
                yield _(
                    "{folder} has no environment yet: {command}", folder=declared.folder, command=declared.install()
                )
            else:
                yield _("this folder has no environment yet: {command}", command=declared.install())
