"""What `mika up` shows: progress by rung, then where things are, then logs."""

from __future__ import annotations

import io

import pytest
from mika import events
from mika.cli.screen import live as live_module
from mika.cli.screen import view as view_module
from mika.cli.screen.view import View, describe
from mika.reason import Reason

URLS = {"api": "http://127.0.0.1:8000", "temporal_ui": "http://127.0.0.1:8088"}
EVENTS = [
    (events.RungReached(name="temporal", rung="port open", elapsed=0.1), "port open", ""),
    (events.RungWaiting(name="temporal", rung="usable", reason=Reason("not yet")), "waiting for usable: not yet", ""),
    (events.Waiting(name="worker", needs=("temporal", "db")), *["waiting for temporal, db"] * 2),
    (events.Started(name="web", pid=7, generation=1), *["started (pid 7)"] * 2),
    (events.Ready(name="web", elapsed=1.0, detail="port 80"), *["ready: port 80"] * 2),
    (events.Ready(name="web", elapsed=1.0), *["ready"] * 2),
    (events.Unhealthy(name="web", reason=Reason("no beat")), *["unhealthy: no beat"] * 2),
    (
        events.Exited(name="web", pid=7, code=-9, reason=Reason("killed by SIGKILL"), expected=False),
        *["exited: killed by SIGKILL"] * 2,
    ),
    (
        events.Exited(name="web", pid=7, code=0, reason=Reason("exit code 0"), expected=True),
        *["exited (exit code 0)"] * 2,
    ),
    (events.BackingOff(name="web", delay=1.26, failures=3), *["starts again in 1.3 s (failure 3)"] * 2),
    (
        events.GaveUp(name="web", reason=Reason("no luck", "fix it"), last_lines=("a", "b")),
        *["gave up: no luck: fix it\n    a\n    b"] * 2,
    ),
    (events.Stopping(name="web"), *["stopping"] * 2),
    (events.StackChanged(state="ready"), "", ""),
    (events.Notice(level="warning", message="careful"), *["careful"] * 2),
]


@pytest.fixture
def shown(tmp_path, capsys):
    """Makes views; `shown.text()` closes them and gives what they printed."""
    views: list[View] = []

    def make(**options) -> View:
        views.append(View(tmp_path, ["temporal", "worker"], **{"color": False, **options}))
        return views[-1]

    def text() -> str:
        for view in views:
            view.close()
        return capsys.readouterr().out

    make.text = text
    yield make
    for view in views:
        view.close()


@pytest.mark.parametrize(("event", "starting", "later"), EVENTS, ids=lambda value: getattr(value, "kind", None))
def test_each_event_as_a_line(event, starting, later):
    from mika.text import plain

    assert plain(describe(event, starting=True)) == starting
    assert plain(describe(event, starting=False)) == later


def test_every_kind_of_event_is_known():
    kinds = {kind.kind for kind in events.Event.__subclasses__()}
    tested = {event.kind for event, _, _ in EVENTS}
    # No line of their own: a wait, the state of the whole, and a stop (its exit is told already).
    assert kinds - tested == {"stopped"}


def test_plain_progress_one_line_a_step(shown):
    view = shown()
    view.event(events.Started(name="temporal", pid=7, generation=1))
    view.event(events.RungReached(name="temporal", rung="port open", elapsed=0.1))
    view.event(events.Notice(level="info", message="a note"))
    view.ready(URLS, has_webhook=True)
    view.event(events.RungReached(name="temporal", rung="port open", elapsed=0.1))
    view.event(events.Unhealthy(name="worker", reason=Reason("no beat")))
    lines = shown.text().splitlines()
    assert [line.split(" s  ")[1] for line in lines[:3]] == [
        "temporal  started (pid 7)",
        "temporal  port open",
        "a note",
    ]
    assert "ready after 0.0 s" in lines
    assert "  api          http://127.0.0.1:8000" in lines
    assert "  temporal ui  http://127.0.0.1:8088" in lines
    assert any("mika send" in line for line in lines)
    assert lines[-1] == "worker    unhealthy: no beat", "no clock and no rungs once it is up"


def test_a_long_wait_is_told_again_and_again_but_not_each_second(shown, monkeypatch):
    """In a pipe there is no live block, and a pull of some minutes must not look like a hang."""
    clock = 0.0
    monkeypatch.setattr(view_module.time, "monotonic", lambda: clock)
    view = shown()
    for second in range(35):
        clock = float(second)
        view.event(events.RungWaiting(name="temporal", rung="image", reason=Reason(f"{second} of 99 MB")))
    assert [line.split() for line in shown.text().splitlines()] == [
        [f"{second}.0", "s", "temporal", "waiting", "for", "image:", str(second), "of", "99", "MB"]
        for second in (9, 18, 27)
    ]


def test_no_hint_to_send_where_nobody_speaks_the_webhook(shown):
    shown().ready(URLS)
    assert "mika send" not in shown.text()


def test_quiet_shows_nothing(shown):
    view = shown(quiet=True)
    for event, _, _ in EVENTS:
        view.event(event)
    view.ready(URLS)
    assert shown.text() == ""


def test_no_color_no_escapes(shown):
    view = shown()
    for event, _, _ in EVENTS:
        view.event(event)
    view.ready(URLS)
    text = shown.text()
    assert "\x1b" not in text
    assert "gave up: no luck: fix it" in text


def test_color_where_it_is_wanted(shown):
    view = shown(color=True)
    view.event(events.Unhealthy(name="worker", reason=Reason("no beat")))
    assert "\x1b[" in shown.text()


def test_a_terminal_gets_one_live_block(shown, monkeypatch):
    """Progress goes into the block; what must not be overwritten is printed as well."""
    seen: list[str] = []

    class Live:
        def event(self, event) -> None:
            seen.append(event.kind)

        def stop(self) -> None:
            seen.append("stop")

    monkeypatch.setattr(view_module, "make_live", lambda names: Live())
    view = shown()
    view.event(events.Started(name="temporal", pid=7, generation=1))
    view.event(events.Notice(level="warning", message="careful"))
    view.event(events.GaveUp(name="worker", reason=Reason("no luck", "fix it"), last_lines=("why",)))
    view.close()
    view.close()
    assert seen == ["started", "notice", "gave_up", "stop"]
    text = shown.text()
    assert "careful" in text
    assert "    why" in text
    assert "started" not in text


def test_the_live_block_shows_a_row_a_unit():
    from rich.console import Console

    live = live_module.Live.__new__(live_module.Live)
    live._began = 0.0
    live._rows = {name: live_module._Row() for name in ("temporal", "worker")}
    live.event(events.Started(name="temporal", pid=7, generation=1))
    live.event(events.RungWaiting(name="temporal", rung="port open", reason=Reason("[bold]refused")))
    live.event(events.GaveUp(name="worker", reason=Reason("no luck", "fix it")))
    live.event(events.Notice(level="info", message="of nobody"))
    console = Console(file=io.StringIO(), width=100)
    console.print(live._table())
    rows = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert rows[0].startswith("temporal starting")
    assert rows[0].endswith("port open: [bold]refused")  # not taken for markup
    assert rows[1].startswith("worker gave up")
    assert rows[1].endswith("no luck: fix it")


def test_no_live_block_in_a_pipe():
    assert live_module.make_live(["a"]) is None
