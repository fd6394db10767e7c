"""Events go into the event log as JSON, and come back as the same types."""

from __future__ import annotations

import json

import pytest
from mika import events
from mika.reason import Reason, Repair

EVENTS = [
    events.RungReached(name="temporal", rung="port open", elapsed=0.1, detail="x"),
    events.RungWaiting(name="temporal", rung="usable", reason=Reason("not yet", "wait")),
    events.Waiting(name="worker", needs=("temporal", "db")),
    events.Started(name="web", pid=7, generation=1),
    events.Ready(name="web", elapsed=1.0, detail="port 80"),
    events.Unhealthy(name="web", reason=Reason("no beat", "restart it", Repair("restart", "web"))),
    events.Exited(name="web", pid=7, code=-9, reason=Reason("killed by SIGKILL"), expected=False),
    events.BackingOff(name="web", delay=1.26, failures=3),
    events.GaveUp(name="web", reason=Reason("no luck"), last_lines=("a", "b")),
    events.Stopping(name="web"),
    events.Stopped(name="web"),
    events.StackChanged(state="ready"),
    events.Notice(level="warning", message="careful"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_json_and_back_is_the_same(event):
    assert events.from_json(json.loads(json.dumps(event.as_json()))) == event


def test_every_kind_of_event_is_tested():
    assert {kind.kind for kind in events.Event.__subclasses__()} == {event.kind for event in EVENTS}


def test_a_reason_is_flat_in_the_log():
    value = events.Unhealthy(name="web", reason=Reason("no beat", "restart it")).as_json()
    assert (value["reason"], value["fix"]) == ("no beat", "restart it")


@pytest.mark.parametrize(
    "value", [{}, {"kind": "unheard_of"}, {"kind": "started"}, {"kind": "ready", "elapsed": 1, "x": 2}]
)
def test_what_another_version_wrote_is_none_or_passed_over(value):
    found = events.from_json(value)
    assert found is None or isinstance(found, events.Ready)
