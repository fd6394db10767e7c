"""The status line of `mika up`: what is not ready comes first, and it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mika.cli.screen.statusline import Bar, bar_of, render, workflow_words
from mika.cli.screen.width import width
from mika.reason import Reason
from mika.status import LastExit, Phase, StackStatus, UnitStatus


def stack(*units: UnitStatus, state: str = "ready") -> StackStatus:
    return StackStatus(state=state, backend="none", supervisor_pid=1, uptime_s=1.0, processes=units)


def unit(name: str, phase: Phase = Phase.READY, restarts: int = 0, **more) -> UnitStatus:
    return UnitStatus(name=name, role="process", phase=phase, restarts=restarts, **more)


def line(*units: UnitStatus, columns: int = 79, **more) -> str:
    return render(replace(bar_of(stack(*units)), **more), columns)


def test_a_problem_comes_first_and_a_state_is_a_word():
    assert line(unit("api"), unit("worker", Phase.BACKOFF, 3), unit("temporal", restarts=1)) == (
        "worker restarting (3)  api ready  temporal ready (1 restart) | ? help"
    )


def test_what_has_run_once_is_no_problem():
    done = unit("migrate", Phase.EXITED, last_exit=LastExit(0, Reason("exit code 0"), 1.0))
    assert line(done, unit("api", Phase.STARTING)) == "api starting  migrate exited | ? help"


def test_many_are_counted():
    units = [unit(f"service-{number}") for number in range(9)]
    assert line(*units, unit("worker", Phase.GAVE_UP, 8)) == "worker gave up (8 restarts)  9 ready | ? help"
    assert line(*units) == "9 ready | ? help"
    assert line(*units, columns=199).startswith("service-0 ready  service-1 ready  ")


def test_workflows_and_what_is_shown():
    shown = line(unit("api"), workflows=workflow_words(3, 1), shown=("only api", "raw"))
    assert shown == "api ready | 3 open, 1 failed in 1 h | only api | raw | ? help"
    assert workflow_words(0, 0) == "0 open"


def test_while_it_stops_it_says_what_is_waited_for():
    bar = bar_of(stack(unit("api", Phase.STOPPED), unit("worker", Phase.STOPPING), state="stopping"))
    assert render(bar, 79) == "stopping: waiting for worker | ? help"


def test_a_question_takes_the_whole_line():
    assert line(unit("api"), question="restart: 1 api  Esc: none") == "restart: 1 api  Esc: none"


@pytest.mark.parametrize("columns", range(1, 60))
@pytest.mark.parametrize("names", [["worker", "api"], ["工作者的名字很长", "另一个"], []])
def test_it_is_never_wider_than_the_terminal(names, columns):
    units = [unit(name, Phase.BACKOFF, 12) for name in names]
    assert width(line(*units, columns=columns, workflows="12 open")) <= columns
    assert width(line(*units, columns=columns, question="find: 找到它们所有的_")) <= columns
    if columns >= 20:
        assert line(*units, columns=columns).endswith("? help")


def test_nothing_is_known_yet():
    assert render(Bar(), 79) == "? help"
