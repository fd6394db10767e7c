"""The restart policy: its rules one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mika.reason import NONE, Reason
from mika.status import Phase
from mika.supervisor.policy import (
    Action,
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
    may_have_done_its_work,
    step,
)

RULES = Rules()


class Run:
    """One unit, its clock, and everything that it was told to do."""

    def __init__(self, rules: Rules = RULES, *, jitter: float = 0.5) -> None:
        self.state, self.rules, self.jitter, self.now = State(gate_open=True), rules, jitter, 100.0
        self.actions: list[Action] = []

    def feed(self, event: Input) -> tuple[Action, ...]:
        self.state, actions = step(self.state, event, self.now, self.rules, self.jitter)
        self.actions += actions
        return actions

    def start(self) -> Run:
        self.feed(Start())
        return self

    def ready(self) -> Run:
        self.feed(BecameReady(self.state.generation))
        return self

    def exit(self, code: int = 1, permanent_cause: str = "") -> tuple[Action, ...]:
        return self.feed(ProcessExited(self.state.generation, code, Reason(f"exit code {code}"), permanent_cause))

    def back_off(self) -> Run:
        """Two failures: the second waits."""
        self.start().exit()
        self.exit()
        assert self.state.phase is Phase.BACKOFF
        return self


def test_the_first_crash_restarts_at_once():
    run = Run().start().ready()
    assert run.exit() == (Spawn(2),)
    assert run.state.phase is Phase.STARTING
    assert run.state.restarts == 1


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.75), (0.5, 1.0), (0.999, 1.25)])
def test_then_it_waits_twice_as_long_each_time(jitter, factor):
    run = Run(replace(RULES, max_failures=100), jitter=jitter).start()
    run.exit()
    delays = []
    for _ in range(12):
        (wake,) = run.exit()
        assert isinstance(wake, Wake)
        assert run.state.phase is Phase.BACKOFF
        delays.append(wake.delay)
        run.now += wake.delay
        (spawn,) = run.feed(Tick())
        assert isinstance(spawn, Spawn)
    expected = [min(30.0, 0.1 * 2**n * factor) for n in range(12)]
    assert delays == pytest.approx(expected, rel=0.01)


def test_a_tick_too_early_waits_for_the_rest():
    run = Run().back_off()
    run.now += 0.04
    (wake,) = run.feed(Tick())
    assert isinstance(wake, Wake)
    assert wake.delay == pytest.approx(0.06)
    assert run.state.phase is Phase.BACKOFF


def test_eight_failures_in_a_row_are_enough():
    run = Run().start()
    for failures in range(1, 8):
        run.exit()
        assert run.state.failures == failures
        run.now += 60
        run.feed(Tick())
    assert run.state.phase is Phase.STARTING
    assert run.exit() == ()
    assert run.state.phase is Phase.GAVE_UP
    assert run.state.reason == Reason("failed 8 times in a row: exit code 1")
    assert run.state.restarts == 7


def test_short_lives_count_as_failures_even_when_they_were_ready():
    run = Run().start()
    for _ in range(8):
        run.ready()
        run.now += 9.9
        run.exit()
        run.now += 60
        run.feed(Tick())
    assert run.state.phase is Phase.GAVE_UP


def test_ready_for_ten_seconds_gives_a_fresh_budget():
    run = Run().start()
    for _ in range(30):
        run.ready()
        run.now += 10
        assert isinstance(run.exit()[0], Spawn)
    assert run.state.failures == 1


def test_time_before_it_is_ready_gives_no_fresh_budget():
    run = Run().start()
    run.exit()
    run.now += 600
    assert isinstance(run.exit()[0], Wake)


def test_the_same_permanent_cause_twice_in_a_row_gives_up():
    run = Run().start()
    assert run.exit(permanent_cause="No module named x.") == (Spawn(2),)
    assert run.exit(permanent_cause="No module named x.") == ()
    assert run.state.phase is Phase.GAVE_UP
    assert run.state.reason.text == "No module named x; another attempt would fail the same way"


def test_a_different_permanent_cause_allows_another_restart():
    run = Run().start()
    run.exit(permanent_cause="SyntaxError: a")
    assert run.exit(permanent_cause="SyntaxError: b") != ()
    assert run.state.phase is Phase.BACKOFF


def test_a_cause_after_it_was_ready_is_not_permanent():
    run = Run().start()
    for _ in range(2):
        run.ready().exit(permanent_cause="ImportError: lazy")
    assert run.state.phase is Phase.BACKOFF


def test_without_a_probe_it_has_to_run_for_a_minute_to_have_been_ready():
    rules = Rules(probed=False)
    run = Run(rules).start()
    run.ready().exit(permanent_cause="error TS1005")
    run.ready()
    run.now += 59
    assert run.exit(permanent_cause="error TS1005") == ()
    assert run.state.phase is Phase.GAVE_UP
    run = Run(rules).start()
    for _ in range(9):
        run.ready()
        run.now += 61
        assert run.exit(permanent_cause="ImportError: lazy") != ()


def test_an_exit_while_what_it_needs_is_down_is_neither_counted_nor_restarted():
    run = Run().start().ready()
    run.feed(Gate(open=False))
    assert run.state.phase is Phase.READY, "it is left alone: it may reconnect by itself"
    assert run.exit() == ()
    assert run.state.phase is Phase.WAITING
    assert (run.state.failures, run.state.restarts) == (0, 0)
    assert run.feed(Gate(open=True)) == (Spawn(2),)


def test_start_waits_for_what_it_needs():
    run = Run()
    run.feed(Gate(open=False))
    assert run.feed(Start()) == ()
    assert run.state.phase is Phase.WAITING
    assert run.feed(Gate(open=True)) == (Spawn(1),)


def test_backoff_is_held_while_what_it_needs_is_down_and_keeps_its_delay():
    run = Run().back_off()
    run.feed(Gate(open=False))
    assert run.state.phase is Phase.WAITING
    run.now += 0.05
    (wake,) = run.feed(Gate(open=True))
    assert isinstance(wake, Wake)
    assert run.state.phase is Phase.BACKOFF
    run.feed(Gate(open=False))
    run.now += 5
    assert run.feed(Gate(open=True)) == (Spawn(3),)


def test_a_hung_process_is_killed_before_it_is_replaced():
    run = Run().start().ready()
    assert run.feed(Hung(1, Reason("no beat"))) == (Kill(1),)
    assert run.state.phase is Phase.UNHEALTHY
    assert run.state.reason.text == "no beat"
    assert run.exit(-9) == (Spawn(2),)


def test_unhealthy_may_recover():
    run = Run().start().ready()
    assert run.feed(BecameUnready(1, Reason("no answer"))) == ()
    assert run.state.phase is Phase.UNHEALTHY
    assert run.feed(BecameUnready(1, Reason("removed"))) == ()
    assert (run.state.phase, run.state.reason) == (Phase.UNHEALTHY, Reason("removed"))
    run.ready()
    assert run.state.phase is Phase.READY
    assert run.state.reason == NONE


def test_events_of_an_older_generation_change_nothing():
    run = Run().start().ready()
    run.exit()
    run.ready()
    x = Reason("x")
    for event in (ProcessExited(1, 0, x), BecameReady(1), BecameUnready(1, x), Hung(1, x), ProcessExited(7, 0, x)):
        before = run.state
        assert run.feed(event) == ()
        assert run.state == before


@pytest.mark.parametrize(
    ("restart", "code", "phase"),
    [
        ("never", 0, Phase.EXITED),
        ("never", 1, Phase.EXITED),
        ("on-failure", 0, Phase.EXITED),
        ("on-failure", 1, Phase.STARTING),
        ("always", 0, Phase.STARTING),
        ("always", -9, Phase.STARTING),
    ],
)
def test_restart_rule(restart, code, phase):
    run = Run(Rules(restart=restart)).start().ready()
    run.exit(code)
    assert run.state.phase is phase


def test_stop_ends_it_gracefully_and_once():
    run = Run().start().ready()
    assert run.feed(Stop()) == (Terminate(1),)
    assert run.feed(Stop()) == ()
    assert run.state.phase is Phase.STOPPING
    assert run.exit(0) == ()
    assert run.state.phase is Phase.STOPPED


def test_stop_wins_over_backoff():
    run = Run().back_off()
    assert run.feed(Stop()) == ()
    assert run.state.phase is Phase.STOPPED
    run.now += 100
    assert run.feed(Tick()) == ()
    assert run.state.phase is Phase.STOPPED


def test_a_stop_forgets_the_delay():
    run = Run().back_off()
    run.feed(Stop())
    run.feed(Gate(open=False))
    run.feed(Start())
    assert run.feed(Gate(open=True)) == (Spawn(3),)


def test_stop_wins_over_a_crash_at_the_same_time():
    run = Run().start().ready()
    run.feed(Stop())
    assert run.exit(-11) == ()
    assert run.state.phase is Phase.STOPPED


def test_start_during_a_stop_comes_after_it():
    run = Run().start().ready()
    run.feed(Stop())
    assert run.feed(Start()) == ()
    assert run.exit(0) == (Spawn(2),)
    assert run.state.restarts == 0


def test_stop_during_a_restart_is_a_stop():
    run = Run().start().ready()
    run.feed(Restart())
    run.feed(Stop())
    assert run.exit(0) == ()
    assert run.state.phase is Phase.STOPPED


def test_restart_is_graceful_and_not_counted():
    run = Run().start().ready()
    assert run.feed(Restart()) == (Terminate(1),)
    assert run.feed(Restart()) == ()
    assert run.exit(0) == (Spawn(2),)
    assert run.state.restarts == 0


@pytest.mark.parametrize("event", [Start(), Restart()])
def test_one_that_gave_up_is_revived_with_a_fresh_budget(event):
    run = Run().start()
    run.exit(permanent_cause="x")
    run.exit(permanent_cause="x")
    assert run.state.phase is Phase.GAVE_UP
    assert isinstance(run.feed(event)[0], Spawn)
    assert run.state.failures == 0
    assert run.state.reason == NONE
    assert run.exit(permanent_cause="x") != (), "a start by the user forgets the permanent cause"


def test_restart_ends_backoff_at_once():
    assert Run().back_off().feed(Restart()) == (Spawn(3),)


@pytest.mark.parametrize(
    ("code", "ran_for", "probed", "may"),
    [(0, 2, False, True), (0, 61, False, False), (1, 2, False, False), (0, 2, True, False)],
)
def test_what_runs_once_may_take_some_seconds(code: int, ran_for: int, probed: bool, may: bool) -> None:
    """Without a rule it is ready after a second: a migration or a cron-like script takes longer."""
    run = Run(Rules(probed=probed)).start().ready()
    now = run.now + ran_for
    assert may_have_done_its_work(run.state, code, now, run.rules) is may
    run.feed(Stop())
    assert not may_have_done_its_work(run.state, code, now, run.rules), "somebody asked for its end"
