"""Every cause, from the protobufs in which the server tells of it (their shapes are recorded from server 1.32.0)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from diagnosis.model import FINE, HANGING, Cause, Poller, Surroundings, near_miss, seconds
from diagnosis.timeline import timeline
from diagnosis.untaken import pid_of
from diagnosis.workflow import classify

START = 1_795_546_842.5  # by the server's clock
QUEUE = "mika-bot-task-queue"
STATUS = {"running": 1, "completed": 2, "failed": 3, "canceled": 4, "terminated": 5, "timed_out": 7}


def at(stamp: Any, seconds_after_start: float) -> None:
    stamp.FromNanoseconds(round((START + seconds_after_start) * 1e9))


def described(status: str, *, closed: float = 0.0, queue: str = QUEUE) -> DescribeWorkflowExecutionResponse:
    found = DescribeWorkflowExecutionResponse()
    info = found.workflow_execution_info
    info.execution.workflow_id = "process_message_1"
    info.status = STATUS[status]  # type: ignore[assignment]
    info.task_queue = queue
    at(info.start_time, 0)
    if closed:
        at(info.close_time, closed)
    return found


def task(state: int, *, since: float = 0.0, attempt: int = 1, queue: str = QUEUE) -> DescribeWorkflowExecutionResponse:
    found = described("running", queue=queue)
    pending = found.pending_workflow_task
    pending.state, pending.attempt = state, attempt  # type: ignore[assignment]
    at(pending.scheduled_time, since)
    if state == 2:
        at(pending.started_time, since)
    return found


def activity(
    state: int,
    *,
    since: float = 0.0,
    attempt: int = 1,
    failure: Failure | None = None,
    due: float | None = None,
    status: str = "running",
    closed: float = 0.0,
    worker: str = "12@vm",
) -> DescribeWorkflowExecutionResponse:
    found = described(status, closed=closed)
    pending = found.pending_activities.add(activity_id="1", state=state, attempt=attempt, last_worker_identity=worker)
    pending.activity_type.name = "ask_llm"
    pending.maximum_attempts = 6
    pending.activity_options.start_to_close_timeout.seconds = 28
    at(pending.scheduled_time, since)
    if state == 2:
        at(pending.last_started_time, since)
    if failure is not None:
        pending.last_failure.CopyFrom(failure)
    if due is not None:
        at(pending.next_attempt_schedule_time, due)
        pending.current_retry_interval.seconds = 3
    return found


def failure(text: str, kind: str = "LlmError", *, timeout: int = 0) -> Failure:
    found = Failure(message=text)
    if timeout:
        found.timeout_failure_info.timeout_type = timeout  # type: ignore[assignment]
    else:
        found.application_failure_info.type = kind
    return found


def events(*steps: tuple[str, float, dict[str, Any]]) -> list[HistoryEvent]:
    """`("WORKFLOW_TASK_FAILED", seconds, {attribute: value})`."""
    found = []
    for number, (name, when, attributes) in enumerate(steps, 1):
        event = HistoryEvent(event_id=number, event_type=EventType.Value(f"EVENT_TYPE_{name}"), task_id=1000 + number)
        at(event.event_time, when)
        target = getattr(event, f"{name.lower()}_event_attributes")
        target.SetInParent()
        for key, value in attributes.items():
            where, *path = key.split(".")
            holder = target
            for part in path:
                holder, where = getattr(holder, where), part
            if hasattr(value, "CopyFrom"):
                getattr(holder, where).CopyFrom(value)
            else:
                setattr(holder, where, value)
        found.append(event)
    return found


STARTED = (
    "WORKFLOW_EXECUTION_STARTED",
    0.0,
    {"workflow_type.name": "ProcessMessageWorkflow", "task_queue.name": QUEUE},
)
TASK = ("WORKFLOW_TASK_SCHEDULED", 0.0, {})
TAKEN = ("WORKFLOW_TASK_STARTED", 0.1, {"identity": "12@vm"})
DONE = ("WORKFLOW_TASK_COMPLETED", 0.2, {})
ASK = ("ACTIVITY_TASK_SCHEDULED", 0.3, {"activity_type.name": "ask_llm", "start_to_close_timeout.seconds": 28})
ASK_ID = 5
UNHANDLED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
NON_DETERMINISTIC = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
HARMLESS = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


def task_failed(text: str, cause: int = UNHANDLED) -> tuple[str, float, dict[str, Any]]:
    return ("WORKFLOW_TASK_FAILED", 0.2, {"failure": failure(text, "ValueError"), "cause": cause, "identity": "12@vm"})


def ended_by(inner: Failure) -> tuple[str, float, dict[str, Any]]:
    outer = Failure(message="Activity task failed", cause=inner)
    outer.activity_failure_info.scheduled_event_id = ASK_ID
    outer.activity_failure_info.activity_type.name = "ask_llm"
    return ("WORKFLOW_EXECUTION_FAILED", 9.0, {"failure": outer})


def started(attempt: int = 1) -> tuple[str, float, dict[str, Any]]:
    return ("ACTIVITY_TASK_STARTED", 0.4, {"scheduled_event_id": ASK_ID, "identity": "12@vm", "attempt": attempt})


def worker(queue: str = QUEUE, state: str = "alive", namespace: str = "default", identity: str = "12@vm") -> Poller:
    return Poller(identity, namespace, queue, 1.0, workflows=True, activities=True, state=state)


def around(*pollers: Poller, queue: str = QUEUE) -> Surroundings:
    return Surroundings(queue=queue, pollers=pollers, run_timeout=60, execution_timeout=120)


CASES: list[tuple[str, str, Any, list[HistoryEvent], Surroundings, float, str]] = [
    # name, expected cause, description, history, surroundings, now, a word of finding + fix
    ("young", "running", task(1), [], around(), 2.9, "runs since"),
    ("nobody", "no_worker", task(1), [], around(), 3.1, "mika start worker"),
    ("nobody asked for pollers", "no_worker", task(1), [], Surroundings(), 3.1, "no worker has taken it for 3.1 s"),
    ("killed, still listed", "no_worker", task(1), [], around(worker(state="gone")), 4, "mika start worker"),
    (
        "all polls used up by a stopped worker",
        "worker_unresponsive",
        task(1),
        [],
        around(worker(state="stopped")),
        4,
        "kill -CONT 12",
    ),
    ("taken, not answered", "worker_unresponsive", task(2), events(STARTED, TASK, TAKEN), around(), 4, "12@vm took it"),
    ("taken a moment ago", "running", task(2, since=9), [], around(), 10, "runs since 10 s"),
    (
        "taken by one that was killed",
        "no_worker",
        task(2),
        events(STARTED, TASK, TAKEN),
        around(worker(state="gone")),
        4,
        "was ended",
    ),
    (
        "failing again and again, history unknown",
        "worker_unresponsive",
        task(1, since=3, attempt=4),
        [],
        around(),
        3.5,
        "3 times",
    ),
    (
        "the worker misspelt",
        "wrong_task_queue",
        task(1),
        [],
        around(worker("mika_bot_task_queue")),
        4,
        f"TEMPORAL_TASK_QUEUE={QUEUE}",
    ),
    (
        "the starter misspelt",
        "wrong_task_queue",
        task(1, queue="mika_bot_task_queue"),
        [],
        around(worker()),
        4,
        f"TEMPORAL_TASK_QUEUE={QUEUE} where it is started",
    ),
    ("another queue altogether", "no_worker", task(1), [], around(worker("billing")), 4, "mika start worker"),
    (
        "another namespace",
        "wrong_namespace",
        task(1),
        [],
        around(worker(namespace="prod")),
        4,
        "TEMPORAL_NAMESPACE=default",
    ),
    ("a step that nobody takes", "no_worker", activity(1), [], around(), 4, "activity ask_llm"),
    ("a step at work", "running", activity(2), [], around(worker()), 20, "runs since 20 s of at most 28 s"),
    ("a step with a killed worker", "no_worker", activity(2), [], around(worker(state="gone")), 1, "gone"),
    (
        "a step with a stopped worker",
        "worker_unresponsive",
        activity(2),
        [],
        around(worker(state="stopped")),
        1,
        "suspended",
    ),
    (
        "a step in the pause before its next attempt",
        "activity_retrying",
        activity(1, since=9, attempt=3, due=12, failure=failure("the LLM answered 429")),
        [],
        around(),
        10,
        "failed 2 times, and is tried again: LlmError: the LLM answered 429",
    ),
    (
        "a step whose next attempt nobody takes",
        "no_worker",
        activity(1, since=9, attempt=3, due=12, failure=failure("429")),
        [],
        around(),
        15.5,
        "for 3.5 s",
    ),
    (
        "a step whose workers vanish",
        "worker_unresponsive",
        activity(1, since=9, attempt=4, failure=failure("activity Heartbeat timeout", timeout=4)),
        [],
        around(worker()),
        10,
        "taken 3 times",
    ),
    (
        "code that raises",
        "workflow_task_failing",
        task(1, attempt=2),
        events(STARTED, TASK, TAKEN, task_failed("bug in workflow")),
        around(worker()),
        1,
        "ValueError: bug in workflow",
    ),
    (
        "code that changed",
        "workflow_task_failing",
        task(2, attempt=3),
        events(STARTED, TASK, TAKEN, task_failed("[TMPRL1100] Nondeterminism error", NON_DETERMINISTIC)),
        around(worker()),
        1,
        "workflow.patched",
    ),
    (
        "a type that nobody registered",
        "workflow_task_failing",
        task(1, attempt=2),
        events(STARTED, TASK, TAKEN, task_failed("Workflow class NoType is not registered on this worker")),
        around(worker()),
        1,
        "register",
    ),
    (
        "code that the sandbox refuses",
        "workflow_task_failing",
        task(1, attempt=2),
        events(STARTED, TASK, TAKEN, task_failed("Cannot access open from inside a workflow. ... is restricted")),
        around(worker()),
        1,
        "into an activity",
    ),
    (
        "a failure that is none",
        "running",
        task(1, since=0.9, attempt=2),
        events(STARTED, TASK, TAKEN, task_failed("UnhandledCommand", HARMLESS)),
        around(worker()),
        1,
        "runs",
    ),
    (
        "a timer",
        "running",
        described("running"),
        events(STARTED, TASK, TAKEN, DONE),
        around(worker()),
        9,
        "nothing is pending",
    ),
    ("done", "healthy", described("completed", closed=0.4), [], around(), 9, "0.4 s"),
    (
        "canceled",
        "canceled",
        described("canceled", closed=3),
        events(STARTED, ("WORKFLOW_EXECUTION_CANCELED", 3, {})),
        around(),
        9,
        "mika workflows retry process_message_1",
    ),
    (
        "terminated",
        "terminated",
        described("terminated", closed=3),
        events(STARTED, ("WORKFLOW_EXECUTION_TERMINATED", 3, {"reason": "enough", "identity": "me@vm"})),
        around(),
        9,
        "by me@vm after 3.0 s: enough",
    ),
    (
        "a step that failed for good",
        "activity_failed",
        described("failed", closed=9),
        events(
            STARTED,
            TASK,
            TAKEN,
            DONE,
            ASK,
            started(3),
            ("ACTIVITY_TASK_FAILED", 8, {"scheduled_event_id": ASK_ID, "failure": failure("the LLM answered 401")}),
            ended_by(failure("the LLM answered 401")),
        ),
        around(),
        99,
        "failed 3 times: LlmError: the LLM answered 401",
    ),
    (
        "a step that nobody registered",
        "activity_failed",
        described("failed", closed=9),
        events(
            STARTED,
            TASK,
            TAKEN,
            DONE,
            ASK,
            ended_by(failure("Activity function ask_llm is not registered on this worker")),
        ),
        around(),
        99,
        "other code than the workflow",
    ),
    (
        "a step that nobody took",
        "timed_out_no_worker",
        described("failed", closed=29),
        events(
            STARTED,
            TASK,
            TAKEN,
            DONE,
            ASK,
            ("ACTIVITY_TASK_TIMED_OUT", 28.3, {"scheduled_event_id": ASK_ID, "failure": failure("", timeout=3)}),
            ended_by(failure("activity ScheduleToClose timeout", timeout=3)),
        ),
        around(),
        99,
        "no worker took the activity ask_llm within 28 s",
    ),
    (
        "a step that was too slow",
        "timed_out_slow",
        described("failed", closed=29),
        events(
            STARTED,
            TASK,
            TAKEN,
            DONE,
            ASK,
            started(),
            ("ACTIVITY_TASK_TIMED_OUT", 28.4, {"scheduled_event_id": ASK_ID, "failure": failure("", timeout=1)}),
            ended_by(failure("activity StartToClose timeout", timeout=1)),
        ),
        around(),
        99,
        "WORKFLOW_RUN_TIMEOUT=120",
    ),
    (
        "a step that noticed by itself that it was too slow",
        "timed_out_slow",
        described("failed", closed=29),
        events(STARTED, TASK, TAKEN, DONE, ASK, started(2), ended_by(failure("the LLM did not answer within 26 s"))),
        around(),
        99,
        "WORKFLOW_RUN_TIMEOUT=120",
    ),
    (
        "a step whose worker was lost",
        "worker_unresponsive",
        described("failed", closed=29),
        events(STARTED, TASK, TAKEN, DONE, ASK, started(), ended_by(failure("", timeout=4))),
        around(),
        99,
        "no sign of life",
    ),
    (
        "an error of the workflow's own",
        "workflow_failed",
        described("failed", closed=9),
        events(
            STARTED, ("WORKFLOW_EXECUTION_FAILED", 9, {"failure": failure("no time left in this run", "NoTimeLeft")})
        ),
        around(),
        99,
        "NoTimeLeft: no time left",
    ),
    (
        "never taken",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "no worker took it for 60 s",
    ),
    (
        "never taken, because the worker looked elsewhere",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(worker("mika_bot_task_queue")),
        99,
        f"TEMPORAL_TASK_QUEUE={QUEUE}",
    ),
    (
        "never taken, and a worker is there now",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(worker()),
        99,
        "send it again",
    ),
    (
        "left alone in the middle",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(
            STARTED, TASK, TAKEN, DONE, ("WORKFLOW_TASK_SCHEDULED", 20, {}), ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})
        ),
        around(),
        99,
        "its last step for 40 s",
    ),
    (
        "a step left alone",
        "timed_out_no_worker",
        activity(1, since=5, status="timed_out", closed=60),
        events(STARTED, TASK, TAKEN, DONE, ASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "ask_llm for 55 s",
    ),
    (
        "taken and never answered",
        "worker_unresponsive",
        described("timed_out", closed=60),
        events(STARTED, TASK, TAKEN, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "12@vm took it and never answered",
    ),
    (
        "code that raised until the end",
        "workflow_task_failing",
        described("timed_out", closed=60),
        events(STARTED, TASK, TAKEN, task_failed("bug"), ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "until its 60 s were over",
    ),
    (
        "a step that was at work",
        "timed_out_slow",
        activity(2, since=1, status="timed_out", closed=60),
        events(STARTED, TASK, TAKEN, DONE, ASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "ask_llm took 59 s of the 60 s",
    ),
    (
        "a step that failed until the end",
        "activity_failed",
        activity(1, since=58, attempt=4, failure=failure("500"), status="timed_out", closed=60),
        events(STARTED, TASK, TAKEN, DONE, ASK, ("WORKFLOW_EXECUTION_TIMED_OUT", 60, {})),
        around(),
        99,
        "failed 3 times until the run's 60 s were over: LlmError: 500",
    ),
]


@pytest.mark.parametrize(("name", "cause", "description", "history", "surroundings", "now", "words"), CASES)
def test_every_cause(
    name: str,
    cause: str,
    description: Any,
    history: list[HistoryEvent],
    surroundings: Surroundings,
    now: float,
    words: str,
) -> None:
    found = classify(description, history, surroundings, now=START + now)
    assert found.cause == cause, f"{name}: {found}"
    assert words in f"{found.finding}; {found.fix}", f"{name}: {found}"
    assert bool(found.fix) == (found.cause not in FINE), f"{name}: {found}"
    assert "\n" not in found.finding + found.fix


def test_no_cause_is_without_a_case() -> None:
    assert {case[1] for case in CASES} == {str(cause) for cause in Cause} - {"not_found"}
    assert not HANGING & FINE


def test_the_callers_clock_replaces_the_servers() -> None:
    """The API's and the server's clocks need not agree: here the server is a day ahead."""
    assert classify(task(1), waited=2.9, now=0.0).cause == Cause.RUNNING
    assert classify(task(1), waited=3.0, now=0.0).cause == Cause.NO_WORKER
    paused = activity(1, attempt=2, due=3, failure=failure("429"))
    assert classify(paused, waited=5.9, now=0.0).cause == Cause.ACTIVITY_RETRYING  # 3 s of it were the pause
    assert classify(paused, waited=6.0, now=0.0).cause == Cause.NO_WORKER


def test_more_time_than_the_execution_has_raises_both() -> None:
    known = Surroundings(queue=QUEUE, run_timeout=100, execution_timeout=120)
    found = classify(activity(2, status="timed_out", closed=100), events(STARTED, TASK, TAKEN, DONE, ASK), known)
    assert "WORKFLOW_RUN_TIMEOUT=200 WORKFLOW_EXECUTION_TIMEOUT=400" in found.fix


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("mika-bot-task-queue", ["mika_bot_task_queue"], "mika_bot_task_queue"),
        ("mika-bot-task-queue", ["Mika-Bot-Task-Queue", "other"], "Mika-Bot-Task-Queue"),
        ("mika-bot-task-queue", ["mika-bot-task-quene"], "mika-bot-task-quene"),
        ("mika-bot-task-queue", ["billing", "mika-bot-task-queue"], None),
        ("mika-bot-task-queue", [], None),
        ("q", ["p"], None),
    ],
)
def test_near_misses(name: str, others: list[str], expected: str | None) -> None:
    assert near_miss(name, others) == expected


@pytest.mark.parametrize(
    ("identity", "pid"),
    [("12@vm", 12), ("mika-worker/12@vm", 12), ("worker@0123456789abcdef-1", None), ("x", None), ("", None)],
)
def test_pids_of_identities(identity: str, pid: int | None) -> None:
    assert pid_of(identity) == pid


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (60, "60 s"), (600, "10 min"), (9000, "2 h")]
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_timeline_tells_the_story_and_no_contents() -> None:
    input_ = {"message": "你好"}
    story = events(
        STARTED, TASK, TAKEN, DONE, ASK, started(2), ("ACTIVITY_TASK_COMPLETED", 4, {"scheduled_event_id": ASK_ID})
    )
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
        "10.0 its workflow task waits for a worker since 5.5 s",
    ):
        assert line in text
    assert "你好" not in text
    with_payloads = told(payloads=True)
    assert 'input: {"message": "你好"}' in with_payloads
    assert "result: 2 bytes (binary/plain)" in with_payloads


def test_a_transient_attempt_is_no_part_of_the_story() -> None:
    """The server shows the attempt that goes on as if it were written down: without a task id."""
    story = events(STARTED, TASK, TAKEN, task_failed("bug"), ("WORKFLOW_TASK_SCHEDULED", 1, {}), TAKEN)
    story[-1].task_id = story[-2].task_id = 0
    found = timeline(task(2, attempt=2), story, now=START + 2)
    assert [entry.text for entry in found].count("taken by worker 12@vm") == 1
