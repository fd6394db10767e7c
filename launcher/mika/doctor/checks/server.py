"""Checks of the Temporal server, its namespace, its UI and its clock."""

from __future__ import annotations

from mika.address import is_loopback
from mika.diagnosis import commands
from mika.diagnosis.temporal import CallError, call_error
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.examination import Examination
from mika.doctor.server import Server, other_temporal
from mika.doctor.units import reason_of, unit_check
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.readiness.access import denied, missing_namespace
from mika.reason import Repair
from mika.status import UnitStatus

_NO_TEMPORAL = "backend none: no Temporal is configured"
_DOWN = "Temporal is down"
_SKEW = 5.0


async def needs_server(exam: Examination, check_id: str) -> Check | None:
    """The `skip` of a check that cannot be made because the server or the namespace is missing."""
    if not exam.wants_temporal:
        return skipped(check_id, _NO_TEMPORAL)
    server = await exam.server()
    if server.state == "barred":
        return skipped(check_id, "mika cannot log in to Temporal", "temporal")
    if not server.up:
        if is_not_started(exam, server):
            return skipped(check_id, "nothing is started here yet", "" if exam.found is None else "config")
        if server.state == "foreign" and is_loopback(exam.host):
            return skipped(check_id, _DOWN, "ports")
        return await because_of_docker(exam, check_id, _DOWN) or skipped(check_id, _DOWN, "temporal")
    error = await exam.namespace_error()
    if error is None or check_id == "namespace":
        return None
    if call_error(error) == CallError.NOT_FOUND:
        return skipped(check_id, f"the namespace {exam.namespace} is missing", "namespace")
    text = f"Temporal cannot read the namespace {exam.namespace}"
    return await because_of_docker(exam, check_id, text) or skipped(check_id, text, "namespace")


def is_not_started(exam: Examination, server: Server) -> bool:
    """Whether this project was never brought up: then it is no fault that there is no server."""
    is_first_time = exam.found is not None or exam.is_new
    return is_first_time and server.state == "refused" and exam.backend != "external"


async def temporal(exam: Examination) -> Check:
    if not exam.wants_temporal:
        return skipped("temporal", _NO_TEMPORAL)
    server, unit = await exam.server(), await exam.temporal_unit()
    if server.up:
        # It says SERVING whatever its database does. What is wrong with the namespace, another check says.
        if unit is None or unit.is_ok or await exam.namespace_error() is not None:
            return ok("temporal", f"{server.detail}, version {server.version}")
        skip = await because_of_docker(exam, "temporal", f"{server.detail}, but {reason_of(unit).text}")
        return skip or await unit_check(exam, "temporal", unit)
    if server.state == "foreign" and is_loopback(exam.host):
        return skipped("temporal", f"another program has its port {exam.port}", "ports")
    text = f"no Temporal server at {server.address}: {server.detail}"
    if is_not_started(exam, server):
        if exam.found is not None:
            return skipped("temporal", f"{text}; `mika up` starts one", "config")
        return skipped("temporal", f"{text}; `mika up` starts one if something here uses Temporal")
    if skip := await because_of_docker(exam, "temporal", text):
        return skip
    if isinstance(await exam.supervisor(), MikaError):
        return skipped("temporal", text, "stack")
    if server.state == "barred":
        return fail("temporal", server.reason.text, server.reason.fix)
    if unit is not None and not unit.is_ok:
        return await unit_check(exam, "temporal", unit)
    return await _down(exam, server, text, unit)


async def _down(exam: Examination, server: Server, text: str, unit: UnitStatus | None) -> Check:
    """No server, and the supervisor, if there is one, does not say why."""
    if server.state == "foreign":
        fix = "correct its address, which `mika config` shows (7233 is its API, 8233 only its UI)"
        return fail("temporal", text, fix)
    is_refused = server.state == "refused"
    verb = "start" if is_refused else "restart"
    fix = f"{verb} that server, or correct its address (`mika config` shows where it is set)"
    repair, is_ours = None, exam.backend not in ("external", "none")
    if unit is not None and unit.kind != "external":
        fix = f"`mika restart {unit.name}`; `mika logs {unit.name}` says why"
    elif is_refused and is_ours:
        fix, repair = "`mika up`", Repair("up")
    elif exam.backend == "docker":
        fix = "`mika up` takes it over; `mika logs temporal` then says why"
    listeners = await exam.listeners() if is_loopback(exam.host) else {}
    owner = listeners.get(exam.port)
    if not is_refused and owner and owner.pid:
        text += f"; the port is held by {owner}"
    # Where ours is to be started, another server is of no interest.
    is_wanted = is_refused and (not is_ours or not exam.backend)
    if is_wanted and (other := other_temporal(listeners, exam.port)):
        text += f"; but {other} listens on {other.port}"
        fix += f"; or, if you mean that server, TEMPORAL_PORT={other.port} in .env"
    return fail("temporal", text, fix, repair)


async def namespace(exam: Examination) -> Check:
    if skip := await needs_server(exam, "namespace"):
        return skip
    error = await exam.namespace_error()
    if error is None:
        return ok("namespace", exam.namespace)
    kind, address = call_error(error), (await exam.server()).address
    if kind == CallError.NOT_FOUND and exam.backend == "external":
        reason = await missing_namespace(await exam.temporal(), address, await in_thread(exam.login))
        return fail("namespace", reason.text, reason.fix)
    if kind == CallError.NOT_FOUND:
        return fail(
            "namespace",
            f"Temporal at {address} has no namespace {exam.namespace!r}",
            f"{commands.temporal(commands.create_namespace(exam.namespace), address)}"
            " (`mika doctor --fix` does it), or set TEMPORAL_NAMESPACE",
            Repair("namespace", exam.namespace),
        )
    if kind == CallError.DENIED:
        reason = denied(address, await in_thread(exam.login), error.status)
        return fail("namespace", reason.text, reason.fix)
    text = f"namespace {exam.namespace}: {error}"
    log = "`mika logs temporal` says why" if exam.backend in ("docker", "embedded") else "that server's log says why"
    fix = f"the server itself has a problem (its database?): {log}"
    return await because_of_docker(exam, "namespace", text) or fail("namespace", text, fix)


async def clock(exam: Examination) -> Check:
    if skip := await needs_server(exam, "clock"):
        return skip
    if (await exam.ui()).kind != "http":
        return skipped("clock", "no UI, and nothing else tells the server's time", "ui")
    ahead = await exam.skew()
    if abs(ahead) <= _SKEW:
        return ok("clock", "the server's clock agrees with this machine's")
    text = f"the server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return warn("clock", text, "synchronize them (after a sleep: restart Docker Desktop; Windows: `w32tm /resync`)")


async def ui(exam: Examination) -> Check:
    """The bot works without the UI, so this never fails."""
    if skip := await needs_server(exam, "ui"):
        return skip
    answer = await exam.ui()
    if answer.kind == "http" and answer.status == 200:
        return ok("ui", exam.ui_url)
    is_default = exam.config.settings["TEMPORAL_UI_PORT"].origin == "default"
    if exam.backend == "external" and is_default and answer.kind != "http":
        return skipped("ui", "none at the default port; TEMPORAL_UI_PORT says where it is")
    answered = f"answers {answer.status}" if answer.kind == "http" else f"does not answer: {answer.reason}"
    text, fix = f"the UI at {exam.ui_url} {answered}", "check TEMPORAL_UI_PORT; `mika down` and `mika up`"
    if exam.backend == "docker":
        fix = "`mika up`" if await exam.status() is None else "`mika restart temporal-ui`"
    return await because_of_docker(exam, "ui", text) or warn("ui", text, fix)
