"""Checks of the processes that listen somewhere: each is asked what its `ready` rule asks.

Of the bot's API also: it is this project's, and it uses the same Temporal as this configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.checks.ports import local_port, other_folder, why_not_ours
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.processes import Process
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError
from mika.machine import http
from mika.machine.ports import Listener, how_to_stop
from mika.readiness.ladder import NotYet
from mika.readiness.probes import has_status, tcp_here
from mika.reason import Repair
from mika.status import UnitStatus
from mika.wording import _

_MOST_ASKED = 10


async def api(exam: Examination) -> Sequence[Check]:
    """A line for each process whose rule says where it listens."""
    asked = [process for process in await exam.processes() if process.place]
    if not asked:
        return [skipped("api", _("no `ready` rule says where a process listens"))]
    return await asyncio.gather(*(of_process(exam, process) for process in asked))


def of_process(exam: Examination, process: Process) -> Awaitable[Check]:
    """Whether it answers as its rule says."""
    return exam.once(f"api {process.name}", lambda: _of_process(exam, process))


async def _of_process(exam: Examination, process: Process) -> Check:
    units = await exam.units_named(process.name)
    if unit := not_working(units):
        return await unit_check(exam, "api", unit)
    check = await (_measured(exam, process, units) if process.url else _port(exam, process, units))
    if check.status == "ok" and (unit := not_ok(units)):
        return await unit_check(exam, "api", unit)
    return check


async def _port(exam: Examination, process: Process, units: Sequence[UnitStatus]) -> Check:
    try:
        place = await tcp_here(int(process.rule.target))  # where it is found: some listen on ::1 only
    except (OSError, NotYet):
        return await _nothing_listens(exam, process, units)
    return ok("api", f"{process.name}: {place}")


async def _measured(exam: Examination, process: Process, units: Sequence[UnitStatus]) -> Check:
    name, url, port, health = process.name, process.url, local_port(process), await exam.health(process.url)
    if health.kind == "refused":
        return await _nothing_listens(exam, process, units)
    if await why_not_ours(exam, process):
        return skipped("api", _("another program has its port {port}", port=port), "ports")
    owner = (await exam.listeners()).get(port or 0)
    restart, repair = _restart(owner, units)
    if health.kind == "silent":
        text = _("{name} at {place} accepts a connection and does not answer", name=name, place=_held(url, owner))
        return fail("api", text, restart, repair)
    if health.kind != "http" or not has_status(health.status, process.rule.status):
        text = (
            _("{name}: {place} answers {status}", name=name, place=_held(url, owner), status=health.status)
            if health.kind == "http"
            else _(
                "{name}: {place} does not answer: {reason}", name=name, place=_held(url, owner), reason=health.reason
            )
        )
        return fail("api", text, _("{restart}; `mika logs {name}` says more", restart=restart, name=name))
    is_api = await _is_api(exam, process)
    if folder := other_folder(exam, process, owner):
        text = _(
            "what answers on port {port} is not this project's {name}: it runs in {folder}",
            port=_held(str(port), owner),
            name=name,
            folder=folder,
        )
        stop = how_to_stop(owner)
        fix = (
            _("{stop} and `mika up` here, or give this project another API_PORT", stop=stop)
            if is_api
            else _("{stop} and `mika up` here, or give this project another port", stop=stop)
        )
        return warn("api", text, fix)
    differs = await _dependencies(exam, name, restart) if is_api else None
    return differs or ok("api", f"{name}: {url}")


def _held(place: str, owner: Listener | None) -> str:
    """A place, and who listens there, if that is known."""
    return _("{place} ({owner})", place=place, owner=owner) if owner and owner.pid else place


def _restart(owner: Listener | None, units: Sequence[UnitStatus]) -> tuple[str, Repair | None]:
    if units:
        return f"`mika restart {units[0].name}`", Repair("restart", units[0].name)
    return _("{stop} and start it again", stop=how_to_stop(owner)), None


async def _is_api(exam: Examination, process: Process) -> bool:
    return process == await exam.api_process()


async def _dependencies(exam: Examination, name: str, restart: str) -> Check | None:
    """If the bot's API sees another Temporal, or another queue, than this configuration names."""
    temporal, worker = await exam.dependency("temporal"), await exam.dependency("worker")
    is_unavailable = temporal.get("state") == "unavailable"
    # The API of another project does not say these; then nothing is known.
    namespace, queue = temporal.get("namespace", exam.namespace), worker.get("queue", exam.queue)
    if (is_unavailable or namespace != exam.namespace) and (skip := await needs_server(exam, "api")):
        text = _("{url} answers, but {finding}", url=exam.config.api_url, finding=skip.finding)
        return skipped("api", text, skip.because)
    if namespace != exam.namespace:
        text = _(
            "the API uses the namespace {used}, and TEMPORAL_NAMESPACE is {here} here",
            used=namespace,
            here=exam.namespace,
        )
        return fail("api", text, _with(restart, f"TEMPORAL_NAMESPACE={exam.namespace}"))
    if is_unavailable:  # although the doctor can use it, with the settings that it has
        address, here = temporal.get("address", _("an unknown address")), (await exam.server()).address
        text = _(
            "the API cannot use Temporal at {address} ({detail}), which is up at {here}",
            address=address,
            detail=temporal.get("detail"),
            here=here,
        )
        fix = _(
            "{restart} with TEMPORAL_HOST={host} and TEMPORAL_PORT={port}",
            restart=restart,
            host=exam.host,
            port=exam.port,
        )
        if address == here:
            fix = _("{restart}; `mika logs {name}` says more", restart=restart, name=name)
        return await because_of_docker(exam, "api", text) or fail("api", text, fix)
    if queue != exam.queue:
        text = _(
            "the API puts messages into {used}, and TEMPORAL_TASK_QUEUE is {here} here", used=queue, here=exam.queue
        )
        return fail("api", text, _with(restart, f"TEMPORAL_TASK_QUEUE={exam.queue}"))
    return None


def _with(restart: str, setting: str) -> str:
    return _("{restart} with {setting}", restart=restart, setting=setting)


async def _nothing_listens(exam: Examination, process: Process, units: Sequence[UnitStatus]) -> Check:
    if unit := not_ok(units):
        return await unit_check(exam, "api", unit)
    text = _("nothing listens at {place}", place=process.place)
    if units:
        name = units[0].name
        fix = _("`mika restart {name}`; `mika logs {name}` says at which address it listens", name=name)
        return fail("api", _("{name} runs, but {text}", name=name, text=text), fix, Repair("restart", name))
    if elsewhere := await _elsewhere(exam, process):
        return elsewhere
    if exam.found is not None:
        return skipped("api", _("{name} is not started", name=process.name), "config")
    if isinstance(await exam.supervisor(), MikaError):
        return skipped("api", text, "stack")
    if await exam.status() is not None:
        text = _("this stack was started without {name}, and {text}", name=process.name, text=text)
        return fail("api", text, _("`mika down`, then `mika up`"))
    if exam.wants_temporal and not (await exam.server()).up:
        down = _("the stack is not up")
        return await because_of_docker(exam, "api", down) or skipped("api", down, "temporal")
    return fail("api", text, _("`mika up`, or by hand: `{command}`", command=process.command), Repair("up"))


async def _elsewhere(exam: Examination, process: Process) -> Check | None:
    """A server that runs in this project's folder on another port, and answers as the bot's API does."""
    if not await _is_api(exam, process):
        return None
    port, path = exam.config.port("API_PORT"), process.url.removeprefix(exam.config.api_url)
    ours = [
        listener
        for listener in (await exam.listeners()).values()
        if listener.port != port and listener.cwd == exam.config.project and not listener.name.startswith("temporal")
    ][:_MOST_ASKED]
    answers = await asyncio.gather(*(http.get(f"http://127.0.0.1:{listener.port}{path}", 1.0) for listener in ours))
    for listener, answer in zip(ours, answers, strict=True):
        if answer.status == 200 and answer.json.get("status") == "ok":
            other = listener.port
            text = _(
                "the API listens on port {other} ({owner}), and API_PORT is {port}",
                other=other,
                owner=listener,
                port=port,
            )
            fix = _("set API_PORT={other} in .env, or start it with `--port {port}`", other=other, port=port)
            return fail("api", text, fix)
    return None
