"""When to start, stop, restart and give up: a pure state machine, (state, input, now) -> (state, actions).

This module does no I/O and reads no clock; `managed.py` feeds it. So tests can check every rule in microseconds, for
any order of inputs. The rules, and the reasons for them:

- After the first crash a process is restarted at once, then after 0.1 s, which doubles up to 30 s, with jitter. So a
  worker that was killed is back immediately, and a worker that cannot start does not spin.
- A process that has been *ready* for 10 s (60 s if nothing probes it) gets a fresh restart budget. After 8 failures in
  a row without that, it gives up.
- After the same permanent cause twice in a row (an import error, a missing namespace) it gives up: a third attempt
  would fail the same way.
- After a final cause (a container's volume was created with another password) it gives up at once.
- While a unit that it needs is down, an exit does not count as a failure and does not cause a restart: it is not the
  fault of this process.
- A stop wins in every state, and a late exit of an earlier generation changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.status import AT_REST, Phase
from mika.wording import _

RUNNING = frozenset({Phase.STARTING, Phase.READY, Phase.UNHEALTHY})


@frozen
class Rules:
    """How one process is restarted. Times are seconds."""

    restart: str = "always"
    first_delay: float = 0.1
    max_delay: float = 30.0
    probed: bool = True
    """Whether something says that it is ready. Else it counts as ready while it runs, which proves little."""
    max_failures: int = 8
    early: bool = False
    """It can wait for its needs itself: a start or restart on request does not wait until they are ready."""
    settle: float = 10.0
    settle_unprobed: float = 60.0
    """Seconds until it has proved itself. What nobody probes may still compile: `mvn spring-boot:run` needs 20 s to
    find out that its port is taken."""


@frozen
class State:
    """`alive`: the tree of `generation` may still contain a process, so nothing else may be spawned."""

    phase: Phase = Phase.STOPPED
    generation: int = 0
    should_run: bool = False
    gate_open: bool = False
    alive: bool = False
    failures: int = 0
    restarts: int = 0
    ready_at: float | None = None
    wake_at: float | None = None
    permanent_cause: str = ""
    """The permanent cause of the last failure, if it had one."""
    reason: Reason = NONE


# --- inputs: what happened ------------------------------------------------------------------------------------------


@frozen
class Start:
    """Start it (`up`, `start`), also if it gave up."""


@frozen
class Stop:
    """Stop it (`stop`, `down`, Ctrl-C)."""


@frozen
class Restart:
    """Stop it gracefully and start it again with a fresh restart budget (`restart`, a changed file)."""


@frozen
class Gate:
    """Whether everything that it needs is ready (`open`) or not."""

    open: bool


@frozen
class BecameReady:
    generation: int


@frozen
class BecameUnready:
    """It is alive but no longer ready (an API that does not answer), or it is unready for a different reason now."""

    generation: int
    reason: Reason


@frozen
class Hung:
    """It is alive but will not work again without a restart."""

    generation: int
    reason: Reason


@frozen
class ProcessExited:
    """The process tree of a generation is gone.

    `permanent_cause` names a cause that a restart cannot fix, or is empty. `final`: not even one restart makes sense.
    """

    generation: int
    code: int
    reason: Reason
    permanent_cause: str = ""
    final: bool = False
    has_survivors: bool = False
    """Some processes of the tree could not be killed, so the unit must not be started again."""


@frozen
class Tick:
    """Time has passed."""


Input = Start | Stop | Restart | Gate | BecameReady | BecameUnready | Hung | ProcessExited | Tick


# --- actions: what to do --------------------------------------------------------------------------------------------


@frozen
class Spawn:
    generation: int


@frozen
class Terminate:
    """Stop the tree gracefully."""

    generation: int


@frozen
class Kill:
    """Kill the tree: it does not react to a stop signal."""

    generation: int


@frozen
class Wake:
    """Feed a Tick in `delay` seconds."""

    delay: float


Action = Spawn | Terminate | Kill | Wake


def step(state: State, event: Input, now: float, rules: Rules, jitter: float = 0.5) -> tuple[State, tuple[Action, ...]]:
    """Return the state after `event` at monotonic time `now`, and the actions. `jitter` is random, in [0, 1)."""
    match event:
        case Start():
            return _start(state, rules)
        case Stop():
            return _stop(state)
        case Restart():
            return _restart(state, rules)
        case Gate():
            return _gate(replace(state, gate_open=event.open), now)
        case Tick():
            return _tick(state, now)
        case _ if event.generation != state.generation or not state.alive:
            return state, ()
        case BecameReady():
            if state.phase in (Phase.STARTING, Phase.UNHEALTHY):
                cause = "" if rules.probed else state.permanent_cause
                return replace(state, phase=Phase.READY, ready_at=now, reason=NONE, permanent_cause=cause), ()
            return state, ()
        case BecameUnready():
            if state.phase in (Phase.READY, Phase.UNHEALTHY):
                return _unhealthy(state, event.reason, now, rules), ()
            return state, ()
        case Hung():
            if state.phase in RUNNING:
                return _unhealthy(state, event.reason, now, rules), (Kill(state.generation),)
            return state, ()
        case ProcessExited():
            return _exited(state, event, now, rules, jitter)


def _start(state: State, rules: Rules) -> tuple[State, tuple[Action, ...]]:
    if state.should_run and state.phase not in AT_REST:
        return state, ()
    state = replace(state, should_run=True, failures=0, permanent_cause="", reason=NONE)
    return (state, ()) if state.alive else _spawn(state, early=rules.early)


def _stop(state: State) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, should_run=False, wake_at=None)
    if not state.alive:
        return replace(state, phase=Phase.STOPPED), ()
    if state.phase is Phase.STOPPING:
        return state, ()
    return replace(state, phase=Phase.STOPPING), (Terminate(state.generation),)


def _restart(state: State, rules: Rules) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, should_run=True, failures=0, permanent_cause="", reason=NONE, wake_at=None)
    if not state.alive:
        return _spawn(state, early=rules.early)
    if state.phase is Phase.STOPPING:
        return state, ()
    return replace(state, phase=Phase.STOPPING), (Terminate(state.generation),)


def _gate(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    if state.gate_open:
        if state.phase is Phase.WAITING and state.should_run and not state.alive:
            # It may have crashed shortly before the outage was noticed: then keep the rest of its backoff delay.
            if state.wake_at is not None and now < state.wake_at:
                return replace(state, phase=Phase.BACKOFF), (Wake(state.wake_at - now),)
            return _spawn(state)
    elif state.phase is Phase.BACKOFF:
        return replace(state, phase=Phase.WAITING), ()
    return state, ()


def _tick(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    if state.phase is not Phase.BACKOFF or state.wake_at is None:
        return state, ()
    if now < state.wake_at:
        return state, (Wake(state.wake_at - now),)
    return _spawn(replace(state, restarts=state.restarts + 1))


def _spawn(state: State, *, early: bool = False) -> tuple[State, tuple[Action, ...]]:
    if not (state.gate_open or early):
        return replace(state, phase=Phase.WAITING), ()
    generation = state.generation + 1
    started = replace(
        state, phase=Phase.STARTING, generation=generation, alive=True, ready_at=None, wake_at=None, reason=NONE
    )
    return started, (Spawn(generation),)


def _unhealthy(state: State, reason: Reason, now: float, rules: Rules) -> State:
    return replace(_settled(state, now, rules), phase=Phase.UNHEALTHY, ready_at=None, reason=reason)


def _settled(state: State, now: float, rules: Rules) -> State:
    """The state with a fresh restart budget if the process was ready long enough, else `state`."""
    return replace(state, failures=0) if has_proved_itself(state, now, rules) else state


def has_proved_itself(state: State, now: float, rules: Rules) -> bool:
    seconds = rules.settle if rules.probed else rules.settle_unprobed
    return state.ready_at is not None and now - state.ready_at >= seconds


def may_have_done_its_work(state: State, code: int, now: float, rules: Rules) -> bool:
    """Whether it may be a program that runs once: it ended well, unasked, before it had proved that it stays."""
    ended_well = code == 0 and state.phase is not Phase.STOPPING
    return ended_well and not rules.probed and not has_proved_itself(state, now, rules)


def is_same_cause(cause: str, earlier: str) -> bool:
    """Whether two lines name the same cause. Digits are ignored, since they may be a time stamp or a pid."""
    return _without_digits(cause) == _without_digits(earlier)


def _without_digits(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _exited(
    state: State, event: ProcessExited, now: float, rules: Rules, jitter: float
) -> tuple[State, tuple[Action, ...]]:
    was_ready = state.ready_at is not None if rules.probed else has_proved_itself(state, now, rules)
    was_stopping = state.phase is Phase.STOPPING
    state = replace(_settled(state, now, rules), alive=False, ready_at=None, wake_at=None)
    if event.has_survivors:
        return replace(state, phase=Phase.GAVE_UP, should_run=False, reason=event.reason), ()
    if not state.should_run:
        return replace(state, phase=Phase.STOPPED), ()
    if was_stopping:  # this was the first half of a restart, or a start was requested during a stop
        return _spawn(state, early=rules.early)
    if rules.restart == "never" or (rules.restart == "on-failure" and event.code == 0):
        return replace(state, phase=Phase.EXITED, should_run=False, reason=event.reason), ()
    if event.final:
        return replace(state, phase=Phase.GAVE_UP, should_run=False, reason=event.reason), ()
    if not state.gate_open:
        return replace(state, phase=Phase.WAITING, reason=event.reason), ()
    failures = state.failures + 1
    cause = "" if was_ready else event.permanent_cause
    is_repeated = bool(cause) and is_same_cause(cause, state.permanent_cause)
    state = replace(state, failures=failures, permanent_cause=cause, reason=event.reason)
    if is_repeated or failures >= rules.max_failures:
        if cause.endswith("."):  # noqa: FURB188 - that makes a plain string of a text that can be translated
            cause = cause[:-1]
        reason = (
            Reason(_("{cause}; another attempt would fail the same way", cause=cause), event.reason.fix)
            if is_repeated
            else event.reason.within(
                _("failed {count} times in a row", count=failures) if failures > 1 else _("failed")
            )
        )
        return replace(state, phase=Phase.GAVE_UP, should_run=False, reason=reason), ()
    if failures == 1:
        return _spawn(replace(state, restarts=state.restarts + 1))
    # Between 3/4 and 5/4 of the doubled delay, so that several processes do not restart at the same moment.
    delay = min(rules.max_delay, rules.first_delay * 2.0 ** (failures - 2) * (0.75 + jitter / 2))
    return replace(state, phase=Phase.BACKOFF, wake_at=now + delay), (Wake(delay),)
