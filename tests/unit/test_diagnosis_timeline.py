"""The story of one workflow, from its history."""

from __future__ import annotations

import json

import pytest
from mika.diagnosis.timeline import timeline

from tests.kit.temporal_protos import (
    ASK_ID,
    START,
    STARTED,
    TAKEN,
    TASK,
    activity,
    asked,
    events,
    failure,
    started,
    task,
    task_failed,
)


def test_a_timeline_tells_the_story_and_no_contents() -> None:
    input_ = {"message": "你好"}
    story = asked(started(2), ("ACTIVITY_TASK_COMPLETED", 4, {"scheduled_event_id": ASK_ID}))
    payload = story[0].workflow_execution_started_event_attributes.input.payloads.add()
    payload.metadata["encoding"] = b"json/plain"
    payload.data = json.dumps(input_).encode()
    binary = story[6].activity_task_completed_event_attributes.result.payloads.add()
    binary.metadata["encoding"] = b"binary/plain"
    binary.data = b"\x00\x01"
    story[5].activity_task_started_event_attributes.last_failure.CopyFrom(failure("429"))

    def told(*, payloads: bool) -> str:
        found = timeline(task(1, since=4.5), story, now=START + 10, payloads=payloads)
        return "\n".join(f"{entry.after:.1f} {entry.text}" for entry in found)

    text = told(payloads=False)
    for line in (
        "0.0 started: ProcessMessageWorkflow in mika-bot-task-queue",
        "0.1 taken by worker 12@vm",
        "0.3 activity ask_llm scheduled",
        "0.4 activity ask_llm taken by 12@vm (attempt 2)",
        "activity ask_llm had failed before: LlmError: 429",
        "4.0 activity ask_llm completed after 3.7 s, attempt 2",
        "10.0 its workflow task has been waiting for a worker for 5.5 s",
    ):
        assert line in text
    assert "你好" not in text
    with_payloads = told(payloads=True)
    assert 'input: {"message": "你好"}' in with_payloads
    assert "result: 2 bytes (binary/plain)" in with_payloads


def test_a_transient_attempt_is_not_part_of_the_story() -> None:
    """The server shows the attempt that goes on as if it were written down: without a task id."""
    story = events(STARTED, TASK, TAKEN, task_failed("bug"), ("WORKFLOW_TASK_SCHEDULED", 1, {}), TAKEN)
    story[-1].task_id = story[-2].task_id = 0
    found = timeline(task(2, attempt=2), story, now=START + 2)
    assert [entry.text for entry in found].count("taken by worker 12@vm") == 1


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (3, "activity ask_llm has been running for 9.0 s, asked to cancel"),
        (4, "activity ask_llm is paused"),
        (5, "activity ask_llm has been running for 9.0 s, asked to pause"),
    ],
)
def test_a_pending_activity_that_was_asked_to_end(state: int, text: str) -> None:
    assert [entry.text for entry in timeline(activity(state), (), now=START + 9)] == [text]
