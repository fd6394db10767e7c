"""Check of our ports: whether another program has one of them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mika.address import is_loopback
from mika.config.references import names
from mika.doctor.check import Check, fail, ok
from mika.doctor.examination import Examination
from mika.doctor.processes import Process
from mika.machine.ports import Listener, describe_listener, how_to_change, how_to_stop, setting_of
from mika.readiness.probes import has_status
from mika.wording import _, joined


async def ports(exam: Examination) -> Check:
    listeners = await exam.listeners()
    if exam.wants_temporal and is_loopback(exam.host):
        server = await exam.server()
        if server.state == "foreign":
            return _taken(exam, listeners.get(exam.port), exam.port, "TEMPORAL_PORT", server.detail)
    processes = await exam.processes()
    for process in processes:
        port = local_port(process)
        if port is not None and (text := await why_not_ours(exam, process)):
            variable = "API_PORT" if names(exam.config.process(process.name).ready, "API_PORT") else ""
            return _taken(exam, listeners.get(port), port, variable, text, process.name)
    wanted = {port for process in processes if (port := local_port(process)) is not None}
    wanted |= {exam.port} if exam.wants_temporal else set()
    held = [_("{port}: {owner}", port=port, owner=listeners[port]) for port in sorted(wanted) if port in listeners]
    return ok("ports", joined(_("; "), held) or _("free"))


def local_port(process: Process) -> int | None:
    """The port of this machine at which a process is asked by HTTP; None if there is none."""
    parts = urlsplit(process.url)
    if not is_loopback(parts.hostname or ""):
        return None
    return parts.port or (443 if parts.scheme == "https" else 80)


async def why_not_ours(exam: Examination, process: Process) -> str:
    """What a program at the port of a process does that is not this process; empty if nothing says so.

    That can only be known while the supervisor does not run it.
    """
    owner = (await exam.listeners()).get(local_port(process) or 0)
    if owner is None or await exam.units_named(process.name):
        return ""
    health = await exam.health(process.url)
    match health.kind:
        case "http" if not has_status(health.status, process.rule.status):
            return _("it answers {status} to {url}", status=health.status, url=process.url)
        case "foreign":
            return _("it does not speak HTTP")
        case "silent" if folder := other_folder(exam, process, owner):
            return _("it does not answer, and runs in {folder}", folder=folder)
    return ""


def other_folder(exam: Examination, process: Process, owner: Listener | None) -> Path | None:
    """The folder in which the owner of the process's port runs, if that is not this project's.

    The port of a container is held by a program of Docker, which says nothing.
    """
    if owner is None or owner.cwd is None or "docker" in owner.name or local_port(process) is None:
        return None
    project, own = exam.config.project, exam.config.process(process.name).cwd or "."
    return None if owner.stack == project or owner.cwd in {project, (project / own).resolve()} else owner.cwd


def _taken(exam: Examination, owner: Listener | None, port: int, variable: str, text: str, name: str = "") -> Check:
    """`variable` is the one that changes the port; empty if only the process `name` itself decides it."""
    finding = _(
        "port {port} ({name}) is taken by {owner}: {text}",
        port=port,
        name=variable or name,
        owner=describe_listener(owner),
        text=text,
    )
    fix = (
        _(
            "{stop}, or {change}, then `mika up`",
            stop=how_to_stop(owner),
            change=how_to_change("127.0.0.1", setting_of(exam.config, variable)),
        )
        if variable
        else _(
            "{stop}, or give {name} another port, in its command and in its `ready` rule",
            stop=how_to_stop(owner),
            name=name,
        )
    )
    return fail("ports", finding, fix)
