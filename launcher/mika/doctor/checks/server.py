"""Checks of the Temporal server, its namespace, its UI and its clock."""

from __future__ import annotations

from mika.address import is_loopback
from mika.diagnosis import commands
from mika.diagnosis.temporal import CallError, call_error
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.examination import Examination
from mika.doctor.server import Server, other_temporal
from mika.doctor.units import not_ok, reason_of, unit_check
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.project.folder import EMBEDDED_DATABASE
from mika.readiness.access import denied, missing_namespace
from mika.reason import Repair
from mika.status import UnitStatus
from mika.wording import _

_NO_TEMPORAL = _("backend none: no Temporal is configured")
_DOWN = _("Temporal is down")
_SKEW = 5.0


async def needs_server(exam: Examination, check_id: str) -> Check | None:
    """The `skip` of a check that cannot be made because the server or the namespace is missing."""
    if not exam.wants_temporal:
        return skipped(check_id, _NO_TEMPORAL)
    server = await exam.server()
    if server.state == "barred":
        return skipped(check_id, _("mika cannot log in to Temporal"), "temporal")
    if not server.up:
        if is_not_started(exam, server):
            return skipped(check_id, _("nothing is started here yet"), "" if exam.found is None else "config")
        if server.state == "foreign" and is_loopback(exam.host):
            return skipped(check_id, _DOWN, "ports")
        return await because_of_docker(exam, check_id, _DOWN) or skipped(check_id, _DOWN, "temporal")
    error = await exam.namespace_error()
    if error is None or check_id == "namespace":
        return None
    if call_error(error) == CallError.NOT_FOUND:
        return skipped(check_id, _("the namespace {namespace} is missing", namespace=exam.namespace), "namespace")
    text = _("Temporal cannot read the namespace {namespace}", namespace=exam.namespace)
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
        if unit is None or not_ok([unit]) is None or await exam.namespace_error() is not None:
            text = _("{detail}, version {version}", detail=server.detail, version=server.version)
            return _without_database(exam, unit) or ok("temporal", text)
        text = _("{detail}, but {reason}", detail=server.detail, reason=reason_of(unit).text)
        skip = await because_of_docker(exam, "temporal", text)
        return skip or await unit_check(exam, "temporal", unit)
    if server.state == "foreign" and is_loopback(exam.host):
        return skipped("temporal", _("another program has its port {port}", port=exam.port), "ports")
    text = _("no Temporal server at {address}: {detail}", address=server.address, detail=server.detail)
    if is_not_started(exam, server):
        if exam.found is not None:
            return skipped("temporal", _("{text}; `mika up` starts one", text=text), "config")
        return skipped("temporal", _("{text}; `mika up` starts one if something here uses Temporal", text=text))
    if skip := await because_of_docker(exam, "temporal", text):
        return skip
    if isinstance(await exam.supervisor(), MikaError):
        return skipped("temporal", text, "stack")
    if server.state == "barred":
        return fail("temporal", server.reason.text, server.reason.fix)
    if unit is not None and not unit.is_ok:
        return await unit_check(exam, "temporal", unit)
    return await _down(exam, server, text, unit)


def _without_database(exam: Examination, unit: UnitStatus | None) -> Check | None:
    """What the embedded server has lost without noticing: it goes on with a file that has no name any more."""
    database = exam.folder.data / EMBEDDED_DATABASE
    if exam.backend != "embedded" or unit is None or database.exists():
        return None
    text = _("{path} was deleted while the server runs: all workflows are lost when it stops", path=database)
    fix = _("`mika workflows export` saves histories; `mika restart {name}` begins an empty database", name=unit.name)
    return warn("temporal", text, fix)


async def _down(exam: Examination, server: Server, text: str, unit: UnitStatus | None) -> Check:
    """No server, and the supervisor, if there is one, does not say why."""
    if server.state == "foreign":
        return fail(
            "temporal",
            text,
            _("correct its address, which `mika config` shows (7233 is its API, 8233 only its UI)"),
        )
    is_refused = server.state == "refused"
    fix: str = (
        _("start that server, or correct its address (`mika config` shows where it is set)")
        if is_refused
        else _("restart that server, or correct its address (`mika config` shows where it is set)")
    )
    repair, is_ours = None, exam.backend not in ("external", "none")
    if unit is not None and unit.kind != "external":
        fix = _("`mika restart {name}`; `mika logs {name}` may say why", name=unit.name)
    elif is_refused and is_ours:
        fix, repair = "`mika up`", Repair("up")
    elif exam.backend == "docker":
        fix = _("`mika up` takes it over; `mika logs temporal` may then say why")
    listeners = await exam.listeners() if is_loopback(exam.host) else {}
    owner = listeners.get(exam.port)
    if not is_refused and owner and owner.pid:
        text = _("{text}; the port is held by {owner}", text=text, owner=owner)
    # Where ours is to be started, another server is of no interest.
    is_wanted = is_refused and (not is_ours or not exam.backend)
    if is_wanted and (other := other_temporal(listeners, exam.port)):
        text = _("{text}; but {owner} listens on {port}", text=text, owner=other, port=other.port)
        fix = _("{fix}; or, if you mean that server, TEMPORAL_PORT={port} in .env", fix=fix, port=other.port)
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
            _("Temporal at {address} has no namespace {namespace!r}", address=address, namespace=exam.namespace),
            _(
                "{command} (`mika doctor --fix` does it), or set TEMPORAL_NAMESPACE",
                command=commands.temporal(commands.create_namespace(exam.namespace), address),
            ),
            Repair("namespace", exam.namespace),
        )
    if kind == CallError.DENIED:
        reason = denied(address, await in_thread(exam.login), error.status)
        return fail("namespace", reason.text, reason.fix)
    text = _("namespace {namespace}: {error}", namespace=exam.namespace, error=error)
    return await because_of_docker(exam, "namespace", text) or fail("namespace", text, its_log_says_why(exam))


def its_log_says_why(exam: Examination) -> str:
    """What to do about a server that does not do what it is asked for."""
    return (
        _("the server itself has a problem (its database?): `mika logs temporal` may say why")
        if exam.has_own_server
        else _("the server itself has a problem (its database?): that server's log may say why")
    )


async def clock(exam: Examination) -> Check:
    if skip := await needs_server(exam, "clock"):
        return skip
    if (await exam.ui()).kind != "http":
        return skipped("clock", _("no UI, and nothing else tells the server's time"), "ui")
    ahead = await exam.skew()
    if abs(ahead) <= _SKEW:
        return ok("clock", _("the server's clock agrees with this machine's"))
    text = (
        _("the server's clock is {seconds:.0f} s ahead of this machine's", seconds=ahead)
        if ahead > 0
        else _("the server's clock is {seconds:.0f} s behind this machine's", seconds=-ahead)
    )
    fix = _("synchronize them (after a sleep: restart Docker Desktop; Windows: `w32tm /resync`)")
    return warn("clock", text, fix)


async def ui(exam: Examination) -> Check:
    """The bot works without the UI, so this never fails."""
    if skip := await needs_server(exam, "ui"):
        return skip
    answer = await exam.ui()
    if answer.kind == "http" and answer.status == 200:
        return ok("ui", exam.ui_url)
    is_default = exam.config.settings["TEMPORAL_UI_PORT"].origin == "default"
    if exam.backend == "external" and is_default and answer.kind != "http":
        return skipped("ui", _("none at the default port; set TEMPORAL_UI_PORT if it is at another"))
    text = (
        _("the UI at {url} answers {status}", url=exam.ui_url, status=answer.status)
        if answer.kind == "http"
        else _("the UI at {url} does not answer: {reason}", url=exam.ui_url, reason=answer.reason)
    )
    fix: str = _("check TEMPORAL_UI_PORT; `mika down` and `mika up`")
    if exam.backend == "docker":
        fix = "`mika up`" if await exam.status() is None else "`mika restart temporal-ui`"
    return await because_of_docker(exam, "ui", text) or warn("ui", text, fix)
