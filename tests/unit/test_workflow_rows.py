"""The rows of `mika workflows`."""

from __future__ import annotations

import pytest
from mika.cli.screen.width import width
from mika.cli.workflows import render as render_rows
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.steps import attempts
from mika.doctor.workflows.listing import Row
from mika.text import plain

from tests.kit.temporal_protos import ASK, DONE, STARTED, TAKEN, TASK, activity, described, events, started


def test_a_list_of_the_bots_workflows_fits_80_columns() -> None:
    ids = ["process_message_" + 4 * part for part in ("8bc6a514", "77aa0011")]
    rows = [
        Row(ids[0], "T", "q", "timed_out", 7140.0, 60.0, Diagnosis(Cause.WORKFLOW_TASK_FAILING, ""), 6, "10001123..."),
        Row(ids[1], "T", "q", "running", 4.0, None, Diagnosis(Cause.RUNNING, ""), None, "你好世界" * 2 + "..."),
    ]
    lines = [plain(line) for line in render_rows(rows).splitlines()]
    assert lines[0].split() == ["AGE", "STATE", "TOOK", "WHO", "TRIES", "CAUSE", "ID"]
    assert lines[1].split()[3:] == ["60", "s", "10001123...", "6", "workflow_task_failing", "8bc6a514"]
    assert max(map(width, lines)) <= 80
    assert rows[0].as_json()["attempts"] == 6


@pytest.mark.parametrize(
    ("description", "history", "expected"),
    [
        (activity(2, attempt=3), [], 3),
        (described("running"), events(STARTED, TASK), None),
        (described("completed", closed=1), [], None),
        (
            described("failed", closed=9),
            events(STARTED, TASK, TAKEN, DONE, ASK, started(6), ("ACTIVITY_TASK_FAILED", 9, {"scheduled_event_id": 5})),
            6,
        ),
        # One that failed before, and was caught, is not what it waits for.
        (
            described("running"),
            events(STARTED, TASK, TAKEN, DONE, ASK, started(6), ("ACTIVITY_TASK_FAILED", 9, {"scheduled_event_id": 5})),
            None,
        ),
    ],
)
def test_attempts_of_what_it_waits_for_or_what_failed(description, history, expected) -> None:
    assert attempts(description, history) == expected
