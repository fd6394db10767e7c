"""The containers of this project: of those that are not well, the one for which the others wait."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from mika.containers.engine import EngineError
from mika.doctor import unsupervised
from mika.doctor.check import Check, fail, ok, skipped
from mika.doctor.examination import Examination
from mika.doctor.units import reason_of
from mika.errors import MikaError
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.reason import Reason, Repair
from mika.status import Phase, UnitStatus
from mika.wording import _, listed

_ON_THE_WAY = (Phase.WAITING, Phase.STARTING, Phase.BACKOFF)


class Rank(IntEnum):
    """In the order in which they need each other."""

    ENGINE = 0
    DATABASE = 1
    HELPER = 2
    TEMPORAL = 3
    UI = 4


@frozen
class Trouble:
    """A service that is not well, or the engine. Several with the same `cause` share one line."""

    name: str
    type: str
    rank: Rank
    cause: str
    reason: Reason
    phase: Phase | None = None
    """None where no supervisor runs."""

    def concerns(self, check_id: str) -> bool:
        """Whether the check is about something that needs this service."""
        if self.rank == Rank.ENGINE:
            return True
        if check_id == "history":
            return self.rank < Rank.TEMPORAL and "postgres" not in self.type
        return "mongo" not in self.type and (self.rank < Rank.UI or check_id == "ui")


Result = tuple[Check, tuple[Trouble, ...]]


async def docker(exam: Examination) -> Check:
    """The engine, and the containers of this project's compose file."""
    return (await exam.once("docker", lambda: _look(exam)))[0]


async def because_of_docker(exam: Examination, check_id: str, text: str) -> Check | None:
    """The `skip` of a check whose service is down because its container, or one that it needs, is."""
    check, troubles = await exam.once("docker", lambda: _look(exam))
    is_cause = check.status in ("fail", "warn") and any(trouble.concerns(check_id) for trouble in troubles)
    if exam.backend == "docker":  # a failure without a trouble concerns all containers
        is_cause = is_cause or (check.status in ("fail", "warn") and not troubles)
    else:  # Temporal is not in a container
        is_cause = is_cause and check_id == "history"
    return skipped(check_id, text, "docker") if is_cause else None


async def _look(exam: Examination) -> Result:
    """The check, and the services that are not well."""
    status = await exam.supervisor()
    if status is None and exam.backend == "docker":
        return await in_thread(lambda: _ask_engine(exam))
    if isinstance(status, MikaError):
        return skipped("docker", _("the supervisor does not answer"), "stack"), ()
    containers = [unit for unit in status.services if unit.kind == "container"] if status is not None else []
    concerns = status.concerns if status is not None else ()
    troubles = [_by_supervisor(unit) for unit in containers if not unit.is_ok]
    if concerns and not troubles:
        return Check("docker", "warn", _together(concerns)), ()
    if not containers:
        text = _("Docker is not used here (backend {backend})", backend=exam.backend or _("not chosen yet"))
        return skipped("docker", text), ()
    return _judged(troubles, sum(not unit.is_at_rest for unit in containers))


def _together(concerns: Sequence[Reason]) -> Reason:
    """The first one with its fix, and how many more there are."""
    text = concerns[0].text
    if len(concerns) > 1:
        text = _("{text} (and {count} more: `mika status`)", text=text, count=len(concerns) - 1)
    return Reason(text, concerns[0].fix)


def _judged(troubles: Sequence[Trouble], running: int) -> Result:
    """The first service that the others need, and those that have the same cause."""
    if not troubles:
        return ok("docker", _("{count} containers run", count=running)), ()
    first, *others = ordered = sorted(troubles, key=lambda trouble: (trouble.rank, trouble.phase in _ON_THE_WAY))
    names, reason = [first.name, *(other.name for other in others if other.cause == first.cause)], first.reason
    if len(names) > 1 and first.phase is Phase.STOPPED:
        text, start = _("{names} were stopped", names=listed(names)), f"`mika start {' '.join(names)}`"
        reason = Reason(text, start, reason.repair)
    elif len(names) > 1 and first.rank != Rank.ENGINE:
        text = _("{names}: {cause}", names=listed(names), cause=first.cause)
        reason = Reason(text, reason.fix, reason.repair)
    # The bot works without the UI.
    check = Check("docker", "warn" if first.rank == Rank.UI else "fail", reason, unit=first.name if first.phase else "")
    return check, tuple(ordered)


def _by_supervisor(unit: UnitStatus) -> Trouble:
    if unit.container == "unknown":
        reason = Reason(unit.reason.text, _("start Docker (Desktop): the stack then goes on by itself"))
        return Trouble(unit.name, unit.type, Rank.ENGINE, reason.text, reason)
    cause = unit.name if unit.phase in _ON_THE_WAY else unit.reason.text
    return Trouble(unit.name, unit.type, _rank(unit.type, unit.address), cause, reason_of(unit), unit.phase)


def _rank(type_: str, address: str = "") -> Rank:
    """Databases come before Temporal, and it before its UI; one-shot services that set it up are in between.

    Any other service is taken for something that Temporal needs.
    """
    known = {"temporal": Rank.TEMPORAL, "temporal-ui": Rank.UI}.get(type_)
    if known is not None:
        return known
    return Rank.HELPER if not address and type_.startswith("temporal-") else Rank.DATABASE


def _ask_engine(exam: Examination) -> Result:
    """Blocks for some seconds at most."""
    env = exam.config.child_env()
    try:
        containers = unsupervised.containers(env, exam.config.project)
    except EngineError as error:
        # Its alternative is another backend: but this folder's history is in Docker.
        fix = _("{fix}, then `mika up`", fix=error.fix) if error.is_transient else error.fix
        return fail("docker", error.message, fix), ()
    if broken := unsupervised.compose_error(env, exam.config.project):
        return Check("docker", "fail", broken), ()
    if not containers:
        return fail("docker", _("there are no containers of this project"), "`mika up`", Repair("up")), ()
    running = sum(container.state == "running" for container in containers)
    return _judged([_by_engine(container) for container in containers if not container.is_ok], running)


def _by_engine(container: unsupervised.Container) -> Trouble:
    state, name, repair = container.describe(), container.name, None
    match container.state:
        case "paused":
            fix: str = f"`docker unpause {name}`"
        case "exited" | "dead" | "created":
            fix, repair = "`mika up`", Repair("up")
        case _:
            fix = _("`docker logs {name}` may say why; then `docker restart {name}`", name=name)
    reason = Reason(_("{service}: {state}", service=container.service, state=state), fix, repair)
    cause = name if container.state == "paused" else state
    return Trouble(container.service, container.service, _rank(container.service), cause, reason)
