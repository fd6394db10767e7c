"""Check of our ports: whether another program has one of them."""

from __future__ import annotations

from pathlib import Path

from mika.address import is_loopback
from mika.doctor.check import Check, fail, ok
from mika.doctor.examination import Examination
from mika.machine.ports import Listener, describe_listener, quote_path


async def ports(exam: Examination) -> Check:
    listeners = await exam.listeners()
    api_port = exam.config.port("API_PORT")
    if exam.wants_temporal and is_loopback(exam.host):
        server = await exam.server()
        if server.state == "foreign":
            return _taken(listeners.get(exam.port), exam.port, "TEMPORAL_PORT", server.detail)
    if text := await why_not_our_api(exam):
        return _taken(listeners.get(api_port), api_port, "API_PORT", text)
    wanted = [api_port, *([exam.port] if exam.wants_temporal else [])]
    held = [f"{port}: {listeners[port]}" for port in sorted(wanted) if port in listeners]
    return ok("ports", "; ".join(held) or "free")


async def why_not_our_api(exam: Examination) -> str:
    """What a program at the API's port does that is not the project's API; empty if nothing says so.

    That can only be known while the supervisor runs no API.
    """
    owner = (await exam.listeners()).get(exam.config.port("API_PORT"))
    is_here = owner is not None and is_loopback(exam.config.text("API_HOST"))
    if not is_here or not exam.commands["api"] or await exam.units("api"):
        return ""
    health = await exam.health()
    match health.kind:
        case "http" if health.status != 200:
            return f"it answers {health.status} to {exam.health_url}"
        case "foreign":
            return "it does not speak HTTP"
        case "silent" if folder := other_folder(exam, owner):
            return f"it does not answer, and runs in {folder}"
    return ""


def other_folder(exam: Examination, owner: Listener | None) -> Path | None:
    """The folder in which the owner of the API's port runs, if that is not this project's.

    The port of a container is held by a program of Docker, which says nothing.
    """
    if owner is None or owner.cwd is None or "docker" in owner.name or not is_loopback(exam.config.text("API_HOST")):
        return None
    project, own = exam.config.project, [exam.config.process(name).cwd or "." for name in exam.commands["api"]]
    return None if owner.cwd in {project, *((project / cwd).resolve() for cwd in own)} else owner.cwd


def how_to_stop(owner: Listener | None) -> str:
    """A command where there is one, as a clause for a fix."""
    if owner is None or not owner.pid:
        return "stop that program"
    return f"`mika -C {quote_path(owner.stack)} down`" if owner.stack else f"stop it (`kill {owner.pid}`)"


def _taken(owner: Listener | None, port: int, variable: str, text: str) -> Check:
    return fail(
        "ports",
        f"port {port} ({variable}) is taken by {describe_listener(owner)}: {text}",
        f"{how_to_stop(owner)}, or use another port: {variable}={port + 1} in .env, then `mika up`",
    )
