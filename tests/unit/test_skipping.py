"""What `mika skip` reads: durations, and what a history shows after a skip."""

from __future__ import annotations

import pytest
from mika.diagnosis.skipping import happened
from mika.errors import UsageError
from mika.text import duration, duration_text
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 30 * DAY), ("1h30m", 5400), ("45s", 45), ("2w", 14 * DAY), ("1.5h", 5400), ("1D 2H", DAY + 7200)],
)
def test_durations(text, seconds) -> None:
    assert duration(text) == seconds
    assert duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "3x", "-1d", "0s", "1d-2h", "1e3s", "999999999w", "1..5h"])
def test_what_is_no_duration(text) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        duration(text)


def test_what_happened_after_a_skip() -> None:
    events = [HistoryEvent(event_id=number) for number in range(1, 9)]
    for number, timer in ((1, "a"), (2, "b"), (3, "c"), (7, "d")):
        events[number - 1].event_type = EventType.EVENT_TYPE_TIMER_STARTED
        events[number - 1].timer_started_event_attributes.timer_id = timer
        events[number - 1].timer_started_event_attributes.start_to_fire_timeout.seconds = 10 * number
        events[number - 1].event_time.seconds = 1000
    events[3].event_type = EventType.EVENT_TYPE_TIMER_FIRED
    events[3].timer_fired_event_attributes.timer_id = "a"
    events[4].event_type = EventType.EVENT_TYPE_TIMER_CANCELED
    events[4].timer_canceled_event_attributes.timer_id = "c"
    events[5].event_type = EventType.EVENT_TYPE_TIMER_FIRED
    events[5].timer_fired_event_attributes.timer_id = "b"
    found = happened(events, after=4)
    assert [timer.id for timer in found.fired] == ["b"]
    assert [(timer.id, timer.due) for timer in found.pending] == [("d", 1070.0)]
