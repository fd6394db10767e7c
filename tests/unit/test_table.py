"""The table of `mika status`: 80 columns, something to open, and why a state is what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mika.cli.screen import table
from mika.cli.screen.width import width
from mika.reason import Reason
from mika.status import LastExit, Phase, StackStatus, UnitStatus
from mika.text import plain

API = UnitStatus(
    name="api", role="process", phase=Phase.READY, type="api", pid=7, listens=("127.0.0.1:8000",), uptime_s=5
)
WORKER = UnitStatus(
    name="worker",
    role="process",
    phase=Phase.READY,
    type="worker",
    address="worker:orders",
    reason=Reason("polling orders"),
    pid=8,
    restarts=2,
    uptime_s=130,
    last_exit=LastExit(-9, Reason("killed by SIGKILL"), 132.0),
)
TEMPORAL = UnitStatus(name="temporal", role="service", phase=Phase.READY, address="127.0.0.1:7233", uptime_s=7000)
UI = UnitStatus(name="temporal-ui", role="service", phase=Phase.READY, address="127.0.0.1:8088")
STACK = StackStatus(
    state="ready",
    backend="embedded",
    supervisor_pid=6,
    uptime_s=7001.0,
    services=(TEMPORAL, UI),
    processes=(API, WORKER),
    urls={"api": "http://127.0.0.1:8000", "temporal_ui": "http://127.0.0.1:8088"},
)


def test_what_a_person_sees():
    assert plain(table.render(STACK)) == (
        "ready  backend embedded, supervisor pid 6, up 2 h\n"
        "\n"
        "NAME         STATE  ADDRESS                UP     RESTARTS\n"
        "temporal     ready  127.0.0.1:7233         2 h\n"
        "temporal-ui  ready  http://127.0.0.1:8088\n"
        "api          ready  http://127.0.0.1:8000  5 s\n"
        "worker       ready  polling orders         2 min  2\n"
        "    last exit 2 min ago: killed by SIGKILL"
    )


def of(unit: UnitStatus) -> list[str]:
    """The lines of this unit."""
    text = plain(table.render(replace(STACK, processes=(unit,))))
    return text[text.index(f"\n{unit.name} ") + 1 :].splitlines()


@pytest.mark.parametrize(
    ("change", "state", "note"),
    [
        ({"phase": Phase.BACKOFF, "reason": Reason("exit code 1")}, "restarting", "exit code 1"),
        ({"phase": Phase.GAVE_UP, "reason": Reason("no module", "`uv sync`")}, "gave up", "no module: `uv sync`"),
        ({"phase": Phase.STOPPED, "reason": Reason("stopped by a user")}, "stopped", "stopped by a user"),
        ({"held_back": Reason("the old code goes on")}, "ready", "the old code goes on"),
        (
            {"failing": Reason("failed 7 times in a row", "fix it"), "last_exit": LastExit(-9, Reason("killed"), 2.0)},
            "ready",
            "failed 7 times in a row: fix it",
        ),
        ({"debug": True}, "ready", "runs for a debugger, which may hold it"),
        ({"last_exit": LastExit(0, Reason("exit code 0"), 7200.0)}, "ready", ""),
    ],
)
def test_a_state_and_its_note(change, state, note):
    head, *notes = of(replace(API, **change))
    assert head.split() == ["api", *state.split(), "http://127.0.0.1:8000", "5", "s"]
    assert notes == ([f"    {note}"] if note else [])


def test_on_a_terminal_nothing_is_wider_than_it(monkeypatch):
    monkeypatch.setattr(table.sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    reason = Reason("a long cause " * 20, "and a long fix " * 20)
    gave_up = replace(WORKER, phase=Phase.GAVE_UP, reason=reason)
    lines = plain(table.render(replace(STACK, processes=(gave_up,)))).splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= 80


def test_where_a_process_is():
    no_url = replace(STACK, urls={}, backend="none")
    assert table.address(API, no_url) == "127.0.0.1:8000"
    assert table.address(replace(API, listens=(), port=5000), no_url) == "PORT=5000"
    assert table.address(replace(API, listens=(), port=5000), STACK) == "http://127.0.0.1:8000"
    assert "docs: http://127.0.0.1:1" in table.render(replace(STACK, urls={"docs": "http://127.0.0.1:1"}))


def test_odd_names_on_a_terminal(monkeypatch):
    monkeypatch.setattr(table.sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    long = replace(WORKER, name="w" * 60, last_exit=None)
    chinese = replace(API, name="订单处理", type="订单处理", listens=("127.0.0.1:8001", "127.0.0.1:8002"))
    lines = plain(table.render(replace(STACK, processes=(long, chinese), urls={}))).splitlines()
    assert max(map(width, lines)) <= 80
    first = next(number for number, line in enumerate(lines) if line.startswith("www"))
    assert [line.split()[0] for line in lines[first : first + 3]] == ["w" * 24, "w" * 24, "w" * 12]
    at = next(number for number, line in enumerate(lines) if line.startswith("订单处理"))
    ready, second = lines[at], lines[at + 1]
    assert width(ready[: ready.index("ready")]) == lines[2].index("STATE")
    assert second.strip() == "127.0.0.1:8002"
    assert width(ready[: ready.index("127")]) == second.index("127")


def test_elsewhere_a_name_is_whole(monkeypatch):
    monkeypatch.setattr(table.sys.stdout, "isatty", lambda: False)
    assert "w" * 60 in table.render(replace(STACK, processes=(replace(WORKER, name="w" * 60),)))
