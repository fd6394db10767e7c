"""Check of the bot's API: it answers, it is this project's, and it uses the same Temporal as this configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.checks.ports import how_to_stop, other_folder, why_not_our_api
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError
from mika.machine import http
from mika.reason import Repair
from mika.status import UnitStatus

_MOST_ASKED = 10


async def api(exam: Examination) -> Check:
    units = await exam.units("api")
    if unit := not_working(units):
        return await unit_check(exam, "api", unit)
    if not exam.commands["api"]:
        return skipped("api", "there is no API in the Procfile")
    if units and all(not exam.is_asked_by_http(unit.type) for unit in units):
        if unit := not_ok(units):
            return await unit_check(exam, "api", unit)
        return ok("api", f"{units[0].name}: {units[0].reason.text}")
    check = await _measured(exam, units)
    if check.status == "ok" and (unit := not_ok(units)):
        return await unit_check(exam, "api", unit)
    return check


async def _measured(exam: Examination, units: Sequence[UnitStatus]) -> Check:
    port, health = exam.config.port("API_PORT"), await exam.health()
    if health.kind == "refused":
        return await _nothing_listens(exam, units, port)
    if await why_not_our_api(exam):
        return skipped("api", f"another program has its port {port}", "ports")
    owner = (await exam.listeners()).get(port)
    who = f" ({owner})" if owner and owner.pid else ""
    restart, repair = f"{how_to_stop(owner)} and start it again", None
    if units:
        restart, repair = f"`mika restart {units[0].name}`", Repair("restart", units[0].name)
    if health.kind == "silent":
        text = f"the API at {exam.config.api_url}{who} accepts a connection and does not answer"
        return fail("api", text, restart, repair)
    if health.status != 200:
        answered = f"answers {health.status}" if health.kind == "http" else f"does not answer: {health.reason}"
        return fail("api", f"{exam.health_url}{who} {answered}", f"{restart}; `mika logs api` says more")
    if folder := other_folder(exam, owner):
        text = f"what answers on port {port}{who} is not this project's API: it runs in {folder}"
        fix = f"{how_to_stop(owner)} and `mika up` here, or give this project another API_PORT"
        return warn("api", text, fix)
    return await _dependencies(exam, restart)


async def _dependencies(exam: Examination, restart: str) -> Check:
    """Whether the API sees the same Temporal and the same queue as this configuration names."""
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
        return skip or fail("api", text, f"{restart}; `mika logs api` says more" if address == here else fix)
    if queue != exam.queue:
        text = f"the API puts messages into {queue}, and TEMPORAL_TASK_QUEUE is {exam.queue} here"
        return fail("api", text, f"{restart} with TEMPORAL_TASK_QUEUE={exam.queue}")
    return ok("api", exam.config.api_url)


async def _nothing_listens(exam: Examination, units: Sequence[UnitStatus], port: int) -> Check:
    if unit := not_ok(units):
        return await unit_check(exam, "api", unit)
    text = f"nothing listens at {exam.health_url}"
    if units:
        name = units[0].name
        fix = f"`mika restart {name}`; `mika logs {name}` says at which address it listens"
        return fail("api", f"{name} runs, but {text}", fix, Repair("restart", name))
    # A server that runs in this project's folder, and answers as the bot's API does.
    ours = [
        listener
        for listener in (await exam.listeners()).values()
        if listener.port != port and listener.cwd == exam.config.project and not listener.name.startswith("temporal")
    ][:_MOST_ASKED]
    answers = await asyncio.gather(*(http.get(f"http://127.0.0.1:{listener.port}/healthz", 1.0) for listener in ours))
    for listener, answer in zip(ours, answers, strict=True):
        if answer.status == 200 and answer.json.get("status") == "ok":
            other = listener.port
            fix = f"set API_PORT={other} in .env, or start it with `--port {port}`"
            return fail("api", f"the API listens on port {other} ({listener}), and API_PORT is {port}", fix)
    if isinstance(await exam.supervisor(), MikaError):
        return skipped("api", text, "stack")
    if await exam.status() is not None:
        return fail("api", f"this stack was started without its API, and {text}", "`mika down`, then `mika up`")
    if exam.wants_temporal and not (await exam.server()).up:
        down = "the stack is not up"
        return await because_of_docker(exam, "api", down) or skipped("api", down, "temporal")
    return fail("api", text, f"`mika up`, or by hand: `{next(iter(exam.commands['api'].values()))}`")
