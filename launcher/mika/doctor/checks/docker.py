"""The containers of this project: of those that are not well, the one for which the others wait."""

from __future__ import annotations

from dataclasses import dataclass

from mika.containers.engine import EngineError
from mika.doctor import unsupervised
from mika.doctor.check import Check, Status, skipped
from mika.doctor.examination import Examination
from mika.machine.local import in_thread
from mika.reason import Repair
from mika.status import Phase, UnitStatus

_NO_ENGINE = "no engine"
_DATABASE, _HELPER, _TEMPORAL, _UI = range(4)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A service that is not well. `told` says it in words; `kind` is what several may have in common."""

    name: str
    rank: int
    kind: str
    told: str
    fix: str
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """`hurt`: the services that are not well; empty where nothing can be said of a single one."""

    check: Check
    hurt: tuple[Trouble, ...] = ()


async def docker(x: Examination) -> Check:
    """The engine, and the containers of this project's compose file."""
    return (await _found(x)).check


async def because_of_docker(x: Examination, check_id: str, finding: str) -> Check | None:
    """The `skip` of a check whose service is down because its container, or one that it needs, is."""
    found = await _found(x)
    if found.check.status not in ("fail", "warn"):
        return None
    if found.hurt and not any(_concerns(check_id, trouble) for trouble in found.hurt):
        return None
    return skipped(check_id, "docker", finding)


def _concerns(check_id: str, trouble: Trouble) -> bool:
    if check_id == "history":
        return trouble.rank < _TEMPORAL and "postgres" not in trouble.name
    return "mongo" not in trouble.name and (trouble.rank < _UI or check_id == "ui")


async def _found(x: Examination) -> Found:
    return await x.once("docker", lambda: _look(x))


async def _look(x: Examination) -> Found:
    if x.backend != "docker":
        return Found(skipped("docker", "", f"not used here (backend {x.backend or 'not chosen yet'})"))
    status = await x.status()
    if status is not None:
        running = sum(not unit.is_at_rest for unit in status.services)
        return _judged([_by_supervisor(x, unit) for unit in status.services if not unit.is_ok], running)
    return await in_thread(lambda: _ask_engine(x))


def _judged(troubles: list[Trouble], running: int) -> Found:
    """The first in the order in which they need each other, and those that share its fate."""
    if not troubles:
        return Found(Check("docker", "ok", f"{running} containers run"))
    hurt = tuple(sorted(troubles, key=lambda one: (one.kind != _NO_ENGINE, one.rank, one.kind.startswith("starting"))))
    first = hurt[0]
    same = [t for t in hurt if t.kind == first.kind]
    names = [t.name for t in same]
    fix = first.fix
    if len(same) > 1 and first.kind == "stopped":
        fix = f"`mika start {' '.join(names)}`"
    finding = f"{', '.join(names)}: {first.told}"
    if first.kind == _NO_ENGINE:
        finding = first.told
    elif first.kind == "stopped" and len(same) > 1:
        finding = f"{', '.join(names)} were stopped"
    elif first.kind in ("stopped", f"starting {first.name}"):
        finding = f"{first.name} {first.told}"
    # The bot works without the UI.
    status: Status = "warn" if first.rank == _UI else "fail"
    return Found(Check("docker", status, finding[:300], fix, repair=first.repair), hurt)


# --- what the supervisor says -----------------------------------------------------------------------------------------


def _by_supervisor(x: Examination, unit: UnitStatus) -> Trouble:
    name, reason = unit.name, unit.reason
    last = unit.last_exit.reason.text if unit.last_exit is not None else ""
    text = reason.text or last or unit.state
    rank = _rank(x, name, unit.address)
    logs = f"`mika logs {name}` says why"
    if unit.phase is Phase.STOPPED:
        return Trouble(name, rank, "stopped", "was stopped", f"`mika start {name}`", Repair("start", name))
    if unit.container == "unknown":
        return Trouble(name, rank, _NO_ENGINE, text, "start Docker (Desktop): the stack then goes on by itself")
    if reason.repair is not None or unit.container == "paused":
        return Trouble(name, rank, text, text, reason.fix, reason.repair)
    if unit.is_at_rest:
        fix = f"{reason.fix or f'`mika logs {name}` says more; fix it'}; then `mika restart {name}`"
        return Trouble(name, rank, text, f"gave up: {text}", fix, Repair("restart", name))
    if unit.state == "starting":
        fix = f"wait for it: `mika wait`; if that does not help, {logs}"
        return Trouble(name, rank, f"starting {name}", f"is starting: {text}", fix)
    return Trouble(name, rank, text, text, f"`mika restart {name}`; {logs}")


def _rank(x: Examination, name: str, address: str = "") -> int:
    """Databases come before Temporal, and it before its UI; its one-shot services need a database and are in between.

    What has another name is taken for something that Temporal needs.
    """
    ports = {part.rpartition(":")[2] for part in address.split(", ")}
    if name == "temporal" or str(x.port) in ports:
        return _TEMPORAL
    if name == "temporal-ui" or x.config.text("TEMPORAL_UI_PORT") in ports:
        return _UI
    return _HELPER if not address and name.startswith("temporal-") else _DATABASE


# --- what the engine says, where nobody supervises --------------------------------------------------------------------


def _ask_engine(x: Examination) -> Found:
    """Blocks for up to some seconds."""
    env = x.config.child_env()
    try:
        containers = unsupervised.containers(env, x.config.project)
    except EngineError as error:
        # Not another backend: this folder's history is in Docker.
        fix = (error.hint or "").replace(", or use `--backend embedded`", ", then `mika up`")
        return Found(Check("docker", "fail", error.message, fix))
    if broken := unsupervised.compose_error(env, x.config.project):
        return Found(Check("docker", "fail", *broken))
    if not containers:
        return Found(
            Check("docker", "fail", "there are no containers of this project", "`mika up`", repair=Repair("up"))
        )
    running = sum(one.state == "running" for one in containers)
    return _judged([_by_engine(x, one) for one in containers if not one.is_ok], running)


def _by_engine(x: Examination, one: unsupervised.Container) -> Trouble:
    rank = _rank(x, one.service)
    if one.state == "paused":
        told = "its container is paused"
        return Trouble(one.service, rank, f"paused {one.name}", told, f"`docker unpause {one.name}`")
    if one.state in ("exited", "dead", "created"):
        told = f"its container does not run: {one.status or one.state}"
        return Trouble(one.service, rank, told, told, "`mika up`", Repair("up"))
    told = f"its container is {one.state}: {one.status}"
    return Trouble(
        one.service, rank, told, told, f"`docker logs {one.name}` says why; then `docker restart {one.name}`"
    )
