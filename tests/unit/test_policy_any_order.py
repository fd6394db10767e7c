"""The restart policy: what must hold for any order of events at any time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mika.reason import Reason
from mika.status import AT_REST, Phase
from mika.supervisor.policy import (
    RUNNING,
    BecameReady,
    BecameUnready,
    Gate,
    Hung,
    Input,
    Kill,
    ProcessExited,
    Restart,
    Rules,
    Spawn,
    Start,
    State,
    Stop,
    Terminate,
    Tick,
    Wake,
    step,
)


class AnyOrder(RuleBasedStateMachine):
    """A world that does what the policy says, and events in any order and at any time, also stale and absurd ones."""

    @initialize(
        restart=st.sampled_from(["always", "on-failure", "never"]),
        max_failures=st.integers(1, 9),
        settle=st.sampled_from([0.5, 10.0]),
    )
    def begin(self, restart: str, max_failures: int, settle: float) -> None:
        self.rules = Rules(restart=restart, max_failures=max_failures, settle=settle)
        self.state, self.now = State(), 1000.0
        self.live: set[int] = set()
        self.generations = 0
        self.should_run = False
        self.exited_at = 0.0
        self.wakes: list[float] = []
        self.automatic: list[float] = []  # times of starts that nobody asked for, since somebody did

    def feed(self, event: Input, jitter: float = 0.5) -> None:
        before = self.state
        self.state, actions = step(before, event, self.now, self.rules, jitter)
        assert step(before, event, self.now, self.rules, jitter) == (self.state, actions), "it is a function"
        for action in actions:
            match action:
                case Spawn(generation):
                    assert not self.live, "two live generations"
                    assert self.should_run, "started although it is to be stopped"
                    assert self.state.gate_open
                    assert generation == self.generations + 1
                    self.generations = generation
                    self.live.add(generation)
                    if isinstance(event, ProcessExited | Tick) and before.phase is not Phase.STOPPING:
                        self.automatic.append(self.now)
                        self.has_waited()
                case Terminate(generation) | Kill(generation):
                    assert generation in self.live
                case Wake(delay):
                    assert 0 < delay <= self.rules.max_delay
                    self.wakes.append(self.now + delay)

    def has_waited(self) -> None:
        """The n-th failure in a row waits: 0, then 0.075 s (with the luckiest jitter) doubling."""
        failures = self.state.failures
        due = 0.0 if failures == 1 else 0.75 * self.rules.first_delay * 2.0 ** (failures - 2)
        assert self.now - self.exited_at >= min(due, 0.75 * self.rules.max_delay) - 1e-6

    # --- what may happen ---

    @rule()
    def start(self) -> None:
        if not self.state.should_run or self.state.phase in AT_REST:
            self.automatic.clear()
        self.should_run = True
        self.feed(Start())

    @rule()
    def stop(self) -> None:
        self.should_run = False
        self.feed(Stop())
        assert self.state.phase in (Phase.STOPPED, Phase.STOPPING)

    @rule()
    def restart(self) -> None:
        self.should_run = True
        self.automatic.clear()
        self.feed(Restart())

    @rule(is_open=st.booleans())
    def gate(self, is_open: bool) -> None:
        self.feed(Gate(is_open))

    @precondition(lambda self: self.live)
    @rule(
        code=st.sampled_from([0, 1, -9]),
        permanent_cause=st.sampled_from(["", "", "", "a", "b"]),
        jitter=st.floats(0, 0.999),
    )
    def exit(self, code: int, permanent_cause: str, jitter: float) -> None:
        (generation,) = self.live
        self.live.clear()
        self.exited_at = self.now
        self.feed(ProcessExited(generation, code, Reason(f"exit code {code}"), permanent_cause), jitter)

    @precondition(lambda self: self.live)
    @rule(make=st.sampled_from([BecameReady, lambda g: BecameUnready(g, Reason("x")), lambda g: Hung(g, Reason("x"))]))
    def happens(self, make) -> None:
        self.feed(make(self.generations))

    @rule(
        back=st.integers(0, 3),
        make=st.sampled_from(
            [
                BecameReady,
                lambda g: BecameUnready(g, Reason("x")),
                lambda g: Hung(g, Reason("x")),
                lambda g: ProcessExited(g, 1, Reason("late")),
            ]
        ),
    )
    def late_news(self, back: int, make) -> None:
        generation = self.generations - back
        if generation in self.live:
            return
        before = self.state
        self.feed(make(generation))
        assert self.state == before, "news of a generation that is gone changed something"

    @rule(seconds=st.one_of(st.floats(0, 2), st.floats(0, 1e6)))
    def time_passes(self, seconds: float) -> None:
        """As far as the next wake at most: then the loop ticks. A machine that slept comes in the rule below."""
        due = min(self.wakes, default=None)
        if due is None or self.now + seconds < due:
            self.now += seconds
            return
        self.wakes.remove(due)
        self.now = max(self.now, due)
        self.feed(Tick())

    @rule(seconds=st.floats(0, 1e6))
    def the_machine_sleeps(self, seconds: float) -> None:
        self.now += seconds
        due, self.wakes = [at for at in self.wakes if at <= self.now], [at for at in self.wakes if at > self.now]
        for _ in due:
            self.feed(Tick())

    @rule()
    def tick_of_nobody(self) -> None:
        self.feed(Tick())

    # --- what must hold ---

    @invariant()
    def phase_and_life_agree(self) -> None:
        state = self.state
        assert state.alive == bool(self.live)
        assert state.should_run == (self.should_run and state.phase not in (Phase.EXITED, Phase.GAVE_UP))
        assert (state.phase in RUNNING or state.phase is Phase.STOPPING) == state.alive
        assert (state.ready_at is not None) <= state.alive
        if state.phase is Phase.WAITING:
            assert not state.gate_open, "it waits for what is there"
        if state.phase in (Phase.BACKOFF, *RUNNING):
            assert state.should_run

    @invariant()
    def backoff_always_ends(self) -> None:
        state = self.state
        if state.phase is not Phase.BACKOFF:
            return
        assert state.wake_at is not None
        assert any(at >= state.wake_at - 1e-6 for at in self.wakes), "nobody will wake it"
        # Also when the timer comes a little early, as timers do.
        early, actions = step(state, Tick(), state.wake_at - 1e-9, self.rules)
        assert isinstance(actions[0], Spawn | Wake)
        after, _ = step(early if early.phase is Phase.BACKOFF else state, Tick(), state.wake_at, self.rules)
        assert after.phase is Phase.STARTING

    @invariant()
    def never_a_spin(self) -> None:
        """Without 10 s of being ready, which start nothing, there are at most `max_failures` tries."""
        window = [at for at in self.automatic if at > self.now - self.rules.settle]
        assert len(window) <= self.rules.max_failures


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestAnyOrder = AnyOrder.TestCase
