"""Workflows that have ended: what the server tells, and the cause."""

from __future__ import annotations

from dataclasses import replace

from mika.diagnosis.model import Crowd, Surroundings
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from tests.kit.temporal_protos import (
    ASK_ID,
    COMMANDS,
    DONE,
    QUEUE,
    STARTED,
    TAKEN,
    TASK,
    TIMED_OUT,
    activity,
    around,
    asked,
    described,
    ended_by,
    events,
    failure,
    started,
    task_failed,
    worker,
    wrapped,
)
from tests.unit.cases_running import Case

_GO_INPUT = (
    "unable to decode the workflow function input payload with error: payload item 0: unable to decode:"
    " json: cannot unmarshal string into Go value of type main.Order, function name: Ship"
)


def _limited(run: int, execution: int) -> DescribeWorkflowExecutionResponse:
    """A workflow whose time was up after a minute."""
    found = described("timed_out", closed=60)
    found.execution_config.workflow_run_timeout.seconds = run
    found.execution_config.workflow_execution_timeout.seconds = execution
    return found


ENDED: list[Case] = [
    # name, expected cause, description, history, surroundings, now, a word of finding + fix
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
        "an input that the workflow cannot read (Go wraps the error)",
        "workflow_failed",
        described("failed", closed=3),
        events(
            STARTED, ("WORKFLOW_EXECUTION_FAILED", 3, {"failure": wrapped(_GO_INPUT, failure("unable to decode", ""))})
        ),
        around(),
        9,
        f"it cannot read its input: {_GO_INPUT}",
    ),
    (
        "an activity that cannot read its input, and an error of the workflow's own around that",
        "workflow_failed",
        described("failed", closed=3),
        events(
            STARTED,
            (
                "WORKFLOW_EXECUTION_FAILED",
                3,
                {"failure": wrapped("failed", ended_by(failure("Failed decoding arguments", ""))[2]["failure"], "Own")},
            ),
        ),
        around(),
        9,
        "the workflow failed: Failed decoding arguments",
    ),
    (
        "a step that failed for good",
        "activity_failed",
        described("failed", closed=9),
        asked(
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
        asked(
            ended_by(failure("Activity function ask_llm is not registered on this worker")),
        ),
        around(),
        99,
        "register an activity of that name",
    ),
    (
        "a step that nobody took",
        "timed_out_no_worker",
        described("failed", closed=29),
        asked(
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
        asked(
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
        asked(started(2), ended_by(failure("the LLM did not answer within 26 s", "LlmTimeout"))),
        around(),
        99,
        "WORKFLOW_RUN_TIMEOUT=120",
    ),
    (
        "a step whose worker is suspended",
        "worker_unresponsive",
        described("failed", closed=29),
        asked(started(), ended_by(failure("", timeout=4))),
        around(worker(state="stopped")),
        99,
        "stopped sending heartbeats",
    ),
    (
        "a step that sent no heartbeat, with a worker that is alive",
        "activity_failed",
        described("failed", closed=29),
        asked(started(3), ended_by(failure("", timeout=4)), beat=2),
        around(worker()),
        99,
        "was taken 3 times, and no heartbeat came within 2.0 s; unless its worker was killed: call activity.",
    ),
    (
        "a step that sent no heartbeat, and nothing is known of its worker",
        "activity_failed",
        described("failed", closed=29),
        asked(started(), ended_by(failure("", timeout=4))),
        around(),
        99,
        "was taken once, and no heartbeat came in time",
    ),
    (
        "a step that took longer than it may, in a project whose run timeout nobody knows",
        "timed_out_slow",
        described("failed", closed=29),
        asked(started(), ended_by(failure("activity StartToClose timeout", timeout=1))),
        Surroundings(worker=COMMANDS),
        99,
        "raise the start-to-close timeout of ask_llm in the workflow's code, then `mika restart worker`; then `mika",
    ),
    (
        "a run whose execution timeout was shorter than its run timeout",
        "timed_out_slow",
        _limited(run=60, execution=60),
        events(STARTED, TASK, TAKEN, DONE, TIMED_OUT),
        Surroundings(),
        99,
        "raise its execution timeout where it is started",
    ),
    (
        "a run that had a run timeout",
        "timed_out_slow",
        _limited(run=60, execution=120),
        events(STARTED, TASK, TAKEN, DONE, TIMED_OUT),
        Surroundings(),
        99,
        "raise its run timeout where it is started",
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
        events(STARTED, TASK, TIMED_OUT),
        around(),
        99,
        "no worker took it for 60 s",
    ),
    (
        "never taken, because the worker looked elsewhere",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, TIMED_OUT),
        around(worker("mika_bot_task_queue")),
        99,
        f"TEMPORAL_TASK_QUEUE={QUEUE}",
    ),
    (
        "never taken, and a worker is there now",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, TIMED_OUT),
        around(worker()),
        99,
        "start it again",
    ),
    (
        "never taken, while the worker completed others",
        "overloaded",
        described("timed_out", closed=60),
        events(STARTED, TASK, TIMED_OUT),
        replace(around(worker()), crowd=Crowd(412, 210, 60)),
        99,
        "412 workflows were open before it, and 3.5 were completed per second",
    ),
    (
        "never taken, and nothing else was completed",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, TIMED_OUT),
        replace(around(worker()), crowd=Crowd(412, 0, 60)),
        99,
        "no worker took it for 60 s",
    ),
    (
        "a step that nobody took, while the worker completed others",
        "overloaded",
        described("failed", closed=29),
        asked(
            ("ACTIVITY_TASK_TIMED_OUT", 28.3, {"scheduled_event_id": ASK_ID, "failure": failure("", timeout=3)}),
            ended_by(failure("activity ScheduleToClose timeout", timeout=3)),
        ),
        replace(around(), crowd=Crowd(90, 58, 29)),
        99,
        "the activity ask_llm was not taken in time",
    ),
    (
        "left alone in the middle",
        "timed_out_no_worker",
        described("timed_out", closed=60),
        events(STARTED, TASK, TAKEN, DONE, ("WORKFLOW_TASK_SCHEDULED", 20, {}), TIMED_OUT),
        around(),
        99,
        "its last step for 40 s",
    ),
    (
        "a step left alone",
        "timed_out_no_worker",
        activity(1, since=5, status="timed_out", closed=60),
        asked(TIMED_OUT),
        around(),
        99,
        "ask_llm for 55 s",
    ),
    (
        "taken and never answered",
        "worker_unresponsive",
        described("timed_out", closed=60),
        events(STARTED, TASK, TAKEN, TIMED_OUT),
        around(),
        99,
        "12@vm took it and never answered",
    ),
    (
        "code that raised until the end",
        "workflow_task_failing",
        described("timed_out", closed=60),
        events(STARTED, TASK, TAKEN, task_failed("bug"), TIMED_OUT),
        around(),
        99,
        "until its time limit of 60 s was over",
    ),
    (
        "a step that was at work",
        "timed_out_slow",
        activity(2, since=1, status="timed_out", closed=60),
        asked(TIMED_OUT),
        around(),
        99,
        "ask_llm took 59 s of the 60 s",
    ),
    (
        "a step that failed until the end",
        "activity_failed",
        activity(1, since=58, attempt=4, failure=failure("500"), status="timed_out", closed=60),
        asked(TIMED_OUT),
        around(),
        99,
        "failed 3 times until the time limit of the run (60 s) was over: LlmError: 500",
    ),
]
