"""Checks of the processes that listen somewhere: each is asked what its `ready` rule asks.

Of the bot's API also: it is this project's, and it uses the same Temporal as this configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.checks.ports import how_to_stop, local_port, other_folder, why_not_ours
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.processes import Process
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError
from mika.machine import http
from mika.readiness.ladder import NotYet
from mika.readiness.probes import has_status, tcp_here
from mika.reason import Repair
from mika.status import UnitStatus

_MOST_ASKED = 10


async def api(exam: Examination) -> Sequence[Check]:
    """A line for each process whose rule says where it listens."""
    asked = [process for process in await exam.processes() if process.place]
    if not asked:
        return [skipped("api", "no `ready` rule says where a process listens")]
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
        await tcp_here(int(process.rule.target))
    except (OSError, NotYet):
        return await _nothing_listens(exam, process, units)
    return ok("api", f"{process.name}: {process.place}")


async def _measured(exam: Examination, process: Process, units: Sequence[UnitStatus]) -> Check:
    name, url, port, health = process.name, process.url, local_port(process), await exam.health(process.url)
    if health.kind == "refused":
        return await _nothing_listens(exam, process, units)
    if await why_not_ours(exam, process):
        return skipped("api", f"another program has its port {port}", "ports")
    owner = (await exam.listeners()).get(port or 0)
    who = f" ({owner})" if owner and owner.pid else ""
    restart, repair = f"{how_to_stop(owner)} and start it again", None
    if units:
        restart, repair = f"`mika restart {units[0].name}`", Repair("restart", units[0].name)
    if health.kind == "silent":
        return fail("api", f"{name} at {url}{who} accepts a connection and does not answer", restart, repair)
    if health.kind != "http" or not has_status(health.status, process.rule.status):
        answered = f"answers {health.status}" if health.kind == "http" else f"does not answer: {health.reason}"
        return fail("api", f"{name}: {url}{who} {answered}", f"{restart}; `mika logs {name}` says more")
    is_api = await _is_api(exam, process)
    if folder := other_folder(exam, process, owner):
        text = f"what answers on port {port}{who} is not this project's {name}: it runs in {folder}"
        fix = (
            f"{how_to_stop(owner)} and `mika up` here, or give this project another {'API_PORT' if is_api else 'port'}"
        )
        return warn("api", text, fix)
    differs = await _dependencies(exam, name, restart) if is_api else None
    return differs or ok("api", f"{name}: {url}")


async def _is_api(exam: Examination, process: Process) -> bool:
    return process == await exam.api_process()


async def _dependencies(exam: Examination, name: str, restart: str) -> Check | None:
    """If the bot's API sees another Temporal, or another queue, than this configuration names."""
    temporal, worker = await exam.dependency("temporal"), await exam.dependency("worker")
    is_unavailable = temporal.get("state") == "unavailable"
    # The API of another project does not say these; then nothing is known.
    namespace, queue = temporal.get("namespace", exam.namespace), worker.get("queue", exam.queue)
    if (is_unavailable or namespace != exam.namespace) and (skip := await needs_server(exam, "api")):
        return skipped("api", f"{exam.config.api_url} answers, but {skip.finding}", skip.because)
    if namespace != exam.namespace:
        text = f"the API uses the namespace {namespace}, and TEMPORAL_NAMESPACE is {exam.namespace} here"
        return fail("api", text, f"{restart} with TEMPORAL_NAMESPACE={exam.namespace}")
    if is_unavailable:  # although the doctor can use it, with the settings that it has
        address, here = temporal.get("address", "an unknown address"), (await exam.server()).address
        text = f"the API cannot use Temporal at {address} ({temporal.get('detail')}), which is up at {here}"
        fix = f"{restart} with TEMPORAL_HOST={exam.host} and TEMPORAL_PORT={exam.port}"
        skip = await because_of_docker(exam, "api", text)
        return skip or fail("api", text, f"{restart}; `mika logs {name}` says more" if address == here else fix)
    if queue != exam.queue:
        text = f"the API puts messages into {queue}, and TEMPORAL_TASK_QUEUE is {exam.queue} here"
        return fail("api", text, f"{restart} with TEMPORAL_TASK_QUEUE={exam.queue}")
    return None


async def _nothing_listens(exam: Examination, process: Process, units: Sequence[UnitStatus]) -> Check:
    if unit := not_ok(units):
        return await unit_check(exam, "api", unit)
    text = f"nothing listens at {process.place}"
    if units:
        name = units[0].name
        fix = f"`mika restart {name}`; `mika logs {name}` says at which address it listens"
        return fail("api", f"{name} runs, but {text}", fix, Repair("restart", name))
    if elsewhere := await _elsewhere(exam, process):
        return elsewhere
    if exam.found is not None:
        return skipped("api", f"{process.name} is not started", "config")
    if isinstance(await exam.supervisor(), MikaError):
        return skipped("api", text, "stack")
    if await exam.status() is not None:
        text = f"this stack was started without {process.name}, and {text}"
        return fail("api", text, "`mika down`, then `mika up`")
    if exam.wants_temporal and not (await exam.server()).up:
        down = "the stack is not up"
        return await because_of_docker(exam, "api", down) or skipped("api", down, "temporal")
    return fail("api", text, f"`mika up`, or by hand: `{process.command}`", Repair("up"))


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
            text = f"the API listens on port {other} ({listener}), and API_PORT is {port}"
            return fail("api", text, f"set API_PORT={other} in .env, or start it with `--port {port}`")
    return None
