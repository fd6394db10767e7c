"""When to start, stop, restart and give up: a pure state machine, (state, input, now) -> (state, actions).

No I/O and no clock in here: the loop in `supervisor.py` feeds it, so every rule can be tested in microseconds and for
any order of inputs. The rules, and why:

- A crash restarts at once the first time, then after 0.1 s doubling to 30 s with jitter: a worker that was killed is
  back immediately, one that cannot start does not spin.
- A process that stays *ready* for 10 s gets a fresh budget; 8 failures in a row without that and it has given up.
- The same hopeless cause twice in a row (an import error, a missing namespace) gives up: a third attempt is the same.
- A final cause (a container's volume that keeps another password) gives up at once.
- While something it needs is down, an exit is neither counted nor restarted: it is not the worker's fault.
- A stop wins in every state, and a late exit of an older generation changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mika.reason import NONE, Reason
from mika.status import AT_REST, Phase

RUNNING = frozenset({Phase.STARTING, Phase.READY, Phase.UNHEALTHY})


@dataclass(frozen=True, slots=True)
class Rules:
    """How one process is restarted. Times are seconds."""

    restart: str = "always"
    first_delay: float = 0.1
    max_delay: float = 30.0
    settle: float = 10.0
    max_failures: int = 8
    early: bool = False
    """It waits by itself for what it needs: when somebody asks for it, it is started before that is ready."""


@dataclass(frozen=True, slots=True)
class State:
    """`alive` says that the tree of `generation` may still have a process in it: then nothing else is spawned."""

    phase: Phase = Phase.STOPPED
    generation: int = 0
    wanted: bool = False
    gate_open: bool = False
    alive: bool = False
    failures: int = 0
    restarts: int = 0
    ready_at: float | None = None
    wake_at: float | None = None
    hopeless: str = ""
    reason: Reason = NONE


# --- inputs: what happened ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody wants it running (`up`, `start`); also revives one that gave up."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants it stopped (`stop`, `down`, Ctrl-C)."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop gracefully and start again with a fresh budget (`restart`, a changed file)."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What it needs is ready (`open`) or not."""

    open: bool


@dataclass(frozen=True, slots=True)
class BecameReady:
    generation: int


@dataclass(frozen=True, slots=True)
class BecameUnready:
    """It was ready and is not any more, but lives (an API that answers no probe); or it is so for another reason."""

    generation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Hung:
    """It lives and will not do any work again by itself."""

    generation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class ProcessExited:
    """The process tree of a generation is gone. `hopeless` names a cause that a retry cannot fix, or is empty.

    `final` says that even one retry is useless, and `reason` why.
    """

    generation: int
    code: int
    reason: Reason
    hopeless: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input = Start | Stop | Restart | Gate | BecameReady | BecameUnready | Hung | ProcessExited | Tick


# --- actions: what to do --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    generation: int


@dataclass(frozen=True, slots=True)
class Terminate:
    """Stop the tree gracefully."""

    generation: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop the tree at once: it will not react to anything gentler."""

    generation: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Feed a Tick in `delay` seconds."""

    delay: float


Action = Spawn | Terminate | Kill | Wake


def step(state: State, event: Input, now: float, rules: Rules, jitter: float = 0.5) -> tuple[State, tuple[Action, ...]]:
    """Return the state after `event` at monotonic time `now`, and what to do. `jitter` is a random number in [0, 1)."""
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
                return replace(state, phase=Phase.READY, ready_at=now, reason=NONE, hopeless=""), ()
            return state, ()
        case BecameUnready():
            if state.phase in (Phase.READY, Phase.UNHEALTHY):
                return replace(
                    _settled(state, now, rules), phase=Phase.UNHEALTHY, ready_at=None, reason=event.reason
                ), ()
            return state, ()
        case Hung():
            if state.phase in RUNNING:
                hung = replace(_settled(state, now, rules), phase=Phase.UNHEALTHY, ready_at=None, reason=event.reason)
                return hung, (Kill(state.generation),)
            return state, ()
        case ProcessExited():
            return _exited(state, event, now, rules, jitter)


def _start(state: State, rules: Rules) -> tuple[State, tuple[Action, ...]]:
    if state.wanted and state.phase not in AT_REST:
        return state, ()
    state = replace(state, wanted=True, failures=0, hopeless="", reason=NONE)
    return (state, ()) if state.alive else _spawn(state, early=rules.early)


def _stop(state: State) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, wanted=False, wake_at=None)
    if not state.alive:
        return replace(state, phase=Phase.STOPPED), ()
    if state.phase is Phase.STOPPING:
        return state, ()
    return replace(state, phase=Phase.STOPPING), (Terminate(state.generation),)


def _restart(state: State, rules: Rules) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, wanted=True, failures=0, hopeless="", reason=NONE, wake_at=None)
    if not state.alive:
        return _spawn(state, early=rules.early)
    if state.phase is Phase.STOPPING:
        return state, ()
    return replace(state, phase=Phase.STOPPING), (Terminate(state.generation),)


def _gate(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    if state.gate_open:
        if state.phase is Phase.WAITING and state.wanted and not state.alive:
            # A process that fell into backoff before the outage was noticed keeps its delay.
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


def _settled(state: State, now: float, rules: Rules) -> State:
    """A process that was ready long enough has earned a fresh budget."""
    if state.ready_at is not None and now - state.ready_at >= rules.settle:
        return replace(state, failures=0)
    return state


def same_cause(cause: str, before: str) -> bool:
    """Whether two lines name one cause: a time stamp or a pid in them says nothing."""
    return _without_numbers(cause) == _without_numbers(before)


def _without_numbers(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _exited(
    state: State, event: ProcessExited, now: float, rules: Rules, jitter: float
) -> tuple[State, tuple[Action, ...]]:
    was_ready = state.ready_at is not None
    stopping = state.phase is Phase.STOPPING
    state = replace(_settled(state, now, rules), alive=False, ready_at=None, wake_at=None)
    if not state.wanted:
        return replace(state, phase=Phase.STOPPED), ()
    if stopping:  # the first half of a restart, or a start during a stop
        return _spawn(state, early=rules.early)
    if rules.restart == "never" or (rules.restart == "on-failure" and event.code == 0):
        return replace(state, phase=Phase.EXITED, wanted=False, reason=event.reason), ()
    if event.final:
        return replace(state, phase=Phase.GAVE_UP, wanted=False, reason=event.reason), ()
    if not state.gate_open:
        return replace(state, phase=Phase.WAITING, reason=event.reason), ()
    failures = state.failures + 1
    hopeless_again = bool(event.hopeless) and not was_ready and same_cause(event.hopeless, state.hopeless)
    state = replace(state, failures=failures, hopeless="" if was_ready else event.hopeless, reason=event.reason)
    if hopeless_again or failures >= rules.max_failures:
        why = (
            Reason(f"{event.hopeless}; another attempt would fail the same way", event.reason.fix)
            if hopeless_again
            else event.reason.within(f"failed {failures} times in a row")
        )
        return replace(state, phase=Phase.GAVE_UP, wanted=False, reason=why), ()
    if failures == 1:
        return _spawn(replace(state, restarts=state.restarts + 1))
    # Between 3/4 and 5/4 of the doubled delay, so that several processes do not come back in step.
    delay = min(rules.max_delay, rules.first_delay * 2.0 ** (failures - 2) * (0.75 + jitter / 2))
    return replace(state, phase=Phase.BACKOFF, wake_at=now + delay), (Wake(delay),)
