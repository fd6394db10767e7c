"""Checks of the Temporal server, its namespace, its UI and its clock."""

from __future__ import annotations

import re

from mika.address import is_loopback
from mika.doctor.check import Check, skipped
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.checks.project import unit_down
from mika.doctor.examination import Examination
from mika.doctor.server import other_temporal
from mika.reason import Repair

_NO_TEMPORAL = "backend none: no Temporal is configured"
_SKEW = 5.0
_DENIED = re.compile(r"unauthori|denied|permission|forbidden|credential", re.IGNORECASE)


async def temporal(x: Examination) -> Check:
    if not x.wants_temporal:
        return skipped("temporal", "", _NO_TEMPORAL)
    server = await x.server()
    status = await x.status()
    unit = status.unit("temporal") if status is not None else None
    if server.up:
        if unit is not None and not unit.is_ready:
            # It says SERVING whatever its database does.
            told = f"{server.detail}, but is {unit.state}: {unit.reason.text}"[:300]
            if skip := await because_of_docker(x, "temporal", told):
                return skip
        return Check("temporal", "ok", f"{server.detail}, version {server.version}")
    if server.state == "foreign" and is_loopback(x.host):
        return skipped("temporal", "ports", f"another program has its port {x.port}")
    if unit is not None and unit.is_at_rest and unit.kind == "process":
        return unit_down("temporal", unit)
    what = f"no Temporal server at {server.address}: {server.detail}"
    if skip := await because_of_docker(x, "temporal", what):
        return skip
    if server.state == "refused":
        up = Repair("up") if status is None and x.backend != "external" else None
        # Where ours is to be started, somebody else's is of no interest.
        wanted = x.backend in ("external", "") and is_loopback(x.host)
        other = other_temporal(await x.listeners(), x.port) if wanted else None
        if other is None:
            return Check("temporal", "fail", what, _start(x), repair=up)
        fix = f"{_start(x)}; or, if you mean that server, TEMPORAL_PORT={other.port} in .env"
        return Check("temporal", "fail", f"{what}; but {other} listens on {other.port}", fix, repair=up)
    if server.state == "denied":
        return Check(
            "temporal",
            "fail",
            f"{server.address} refuses us: {server.detail}",
            "check TEMPORAL_HOST and its credentials",
        )
    if server.state == "foreign":
        return Check(
            "temporal", "fail", what, "check TEMPORAL_HOST and TEMPORAL_PORT (7233 is its API, 8233 only its UI)"
        )
    owner = (await x.listeners()).get(x.port)
    held = f"; the port is held by {owner}" if owner and owner.pid and is_loopback(x.host) else ""
    return Check("temporal", "fail", f"{what}{held}", _restart(x, unit is not None))


def _start(x: Examination) -> str:
    match x.backend:
        case "external":
            return "start that server, or set TEMPORAL_HOST and TEMPORAL_PORT to where it is"
    return "`mika up`"


def _restart(x: Examination, supervised: bool) -> str:
    if supervised:
        return "`mika restart temporal`; `mika logs temporal` says why"
    if x.backend == "docker":
        return "`mika up` takes it over; `mika logs temporal` then says why"
    return "restart that server, or set TEMPORAL_HOST and TEMPORAL_PORT to another one"


async def needs_server(x: Examination, check_id: str) -> Check | None:
    """The `skip` of a check that cannot be made because the server or the namespace is missing."""
    if not x.wants_temporal:
        return skipped(check_id, "", _NO_TEMPORAL)
    server = await x.server()
    if not server.up:
        if server.state == "foreign" and is_loopback(x.host):
            return skipped(check_id, "ports", "Temporal is down")
        return await because_of_docker(x, check_id, "Temporal is down") or skipped(
            check_id, "temporal", "Temporal is down"
        )
    error = await x.namespace_error()
    if error is None or check_id == "namespace":
        return None
    if not error:
        return skipped(check_id, "namespace", f"the namespace {x.namespace} is missing")
    finding = f"Temporal cannot read the namespace {x.namespace}"
    return await because_of_docker(x, check_id, finding) or skipped(check_id, "namespace", finding)


async def namespace(x: Examination) -> Check:
    skip = await needs_server(x, "namespace")
    if skip is not None:
        return skip
    error = await x.namespace_error()
    if error is None:
        return Check("namespace", "ok", x.namespace)
    if error:
        told = f"namespace {x.namespace}: {error}"[:300]
        return await because_of_docker(x, "namespace", told) or Check("namespace", "fail", told, _refused(x, error))
    address = (await x.server()).address
    return Check(
        "namespace",
        "fail",
        f"Temporal at {address} has no namespace {x.namespace!r}",
        f"`temporal operator namespace create -n {x.namespace} --address {address}` (`mika doctor --fix` does it),"
        " or set TEMPORAL_NAMESPACE",
        repair=Repair("namespace", x.namespace),
    )


def _refused(x: Examination, error: str) -> str:
    if _DENIED.search(error):
        return "check TEMPORAL_NAMESPACE, and what this user may do there"
    where = "`mika logs temporal`" if x.backend in ("docker", "embedded") else "that server's log"
    return f"the server has a trouble of its own (its database?): {where} says which"


async def clock(x: Examination) -> Check:
    skip = await needs_server(x, "clock")
    if skip is not None:
        return skip
    if (await x.ui()).kind != "http":
        return skipped("clock", "ui", "no UI, and nothing else tells the server's time")
    ahead = await x.skew()
    if abs(ahead) > _SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        return Check(
            "clock",
            "warn",
            f"the server's clock is {abs(ahead):.0f} s {way} this machine's",
            "synchronise them (after a sleep: restart Docker Desktop; Windows: `w32tm /resync`)",
        )
    return Check("clock", "ok", "the server's clock agrees with this machine's")


async def ui(x: Examination) -> Check:
    """The UI is a convenience: without it the bot works, so this never fails."""
    skip = await needs_server(x, "ui")
    if skip is not None:
        return skip
    answer = await x.ui()
    if answer.kind == "http" and answer.status == 200:
        return Check("ui", "ok", x.ui_url)
    if (
        x.backend == "external"
        and x.config.settings["TEMPORAL_UI_PORT"].origin == "default"
        and answer.kind == "refused"
    ):
        return skipped("ui", "", "none at the default port; TEMPORAL_UI_PORT says where it is")
    answered = f"answers {answer.status}" if answer.kind == "http" else f"does not answer: {answer.reason}"
    finding = f"the UI at {x.ui_url} {answered}"
    fix = "check TEMPORAL_UI_PORT; `mika down` and `mika up`"
    if x.backend == "docker":
        fix = "`mika up`" if await x.status() is None else "`mika restart temporal-ui`"
    return await because_of_docker(x, "ui", finding) or Check("ui", "warn", finding, fix)
