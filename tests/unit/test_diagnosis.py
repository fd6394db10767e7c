"""Every cause, from what the server tells; and the words for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from mika.diagnosis.model import FINE, HANGING, Cause, Crowd, Poller, Surroundings, WorkerCommands, near_miss, seconds
from mika.diagnosis.proto import NON_DETERMINISTIC
from mika.diagnosis.slow import SlowTask, slowest_task, taken_task
from mika.diagnosis.temporal import CallError, call_error, literal
from mika.diagnosis.untaken import find_misplaced, pid_of
from mika.diagnosis.workflow import classify
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError, RPCStatusCode

from tests.kit.temporal_protos import (
    ASK_ID,
    COMMANDS,
    DONE,
    QUEUE,
    START,
    STARTED,
    TAKEN,
    TASK,
    TIMED_OUT,
    UNHANDLED,
    activity,
    around,
    asked,
    described,
    ended_by,
    events,
    failure,
    paused,
    prolonged,
    raised,
    task,
    task_failed,
    worker,
)
from tests.unit.cases_ended import ENDED
from tests.unit.cases_running import RUNNING


@pytest.mark.parametrize(("name", "cause", "description", "history", "surroundings", "now", "words"), RUNNING + ENDED)
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
    # Those two are found out by a question more: in other namespaces, and of the worker's process.
    assert {case[1] for case in RUNNING + ENDED} == {str(cause) for cause in Cause} - {"not_found", "slow"}
    assert not HANGING & FINE


def test_the_callers_clock_replaces_the_servers() -> None:
    """The API's and the server's clocks need not agree: here the server is a day ahead."""
    assert classify(task(1), waited=2.9, now=0.0).cause == Cause.RUNNING
    assert classify(task(1), waited=3.0, now=0.0).cause == Cause.NO_WORKER
    paused = activity(1, attempt=2, due=3, failure=failure("429"))
    assert classify(paused, waited=5.9, now=0.0).cause == Cause.ACTIVITY_RETRYING  # 3 s of it were the pause
    assert classify(paused, waited=6.0, now=0.0).cause == Cause.NO_WORKER


def test_a_killed_worker_that_the_server_has_forgotten() -> None:
    """Its list forgets a worker after a while; this machine knows that the process is gone."""
    known = replace(around(worker(identity="13@vm")), process=lambda identity: "gone" if identity == "12@vm" else "")
    assert classify(activity(2), (), known, now=START + 25).cause == Cause.WORKER_KILLED
    assert classify(task(2), events(STARTED, TASK, TAKEN), known, now=START + 25).cause == Cause.WORKER_KILLED
    assert classify(activity(2, worker="13@vm"), (), known, now=START + 25).cause == Cause.RUNNING


def test_tasks_that_took_long() -> None:
    later = ("WORKFLOW_TASK_COMPLETED", 12.1, {"identity": "12@vm"})
    first = slowest_task(events(STARTED, TASK, TAKEN, later))
    assert first is not None
    assert (first.text, first.worker) == ("12 s in its first workflow task", "12@vm")
    again = ("WORKFLOW_TASK_STARTED", 30.0, {"identity": "12@vm"}), ("WORKFLOW_TASK_COMPLETED", 49.0, {})
    second = slowest_task(events(STARTED, TASK, TAKEN, later, TASK, *again))
    assert second is not None
    assert second.text == "19 s in one workflow task"
    assert slowest_task(events(STARTED, TASK, TAKEN, DONE)) is None
    assert slowest_task(()) is None
    local = ("MARKER_RECORDED", 15, {"marker_name": "core_local_activity"})
    ended = ("WORKFLOW_TASK_COMPLETED", 15, {"identity": "12@vm"})
    assert slowest_task(events(STARTED, TASK, TAKEN, *prolonged(8.1), ended, local)) is None
    has_it = taken_task(task(2), events(STARTED, TASK, TAKEN), START + 8)
    assert has_it == SlowTask(8.0, is_first=True, worker="12@vm")
    assert taken_task(task(1), events(STARTED, TASK), START + 8) is None
    assert taken_task(activity(2), asked(), START + 8) is None


def test_more_time_than_the_execution_has_raises_both() -> None:
    known = Surroundings(queue=QUEUE, run_timeout=100, execution_timeout=120)
    found = classify(activity(2, status="timed_out", closed=100), asked(), known)
    assert "WORKFLOW_RUN_TIMEOUT=200 WORKFLOW_EXECUTION_TIMEOUT=400" in found.fix


def test_an_attempt_that_is_under_way_is_waited_for() -> None:
    """As after a restart of the worker: another restart would interrupt it."""
    broken = failure("the worker stopped", "CancelledError")
    commands = Surroundings(worker=WorkerCommands(restart=("mika restart worker",)))
    assert classify(activity(2, attempt=2, failure=broken), (), commands).fix.startswith("wait for the attempt")
    assert not classify(activity(1, attempt=2, due=9, failure=broken), (), commands, waited=0).fix.startswith("wait")


def test_a_workflow_task_that_is_taken_again_is_under_way() -> None:
    raises = raised("ValueError: no")
    assert classify(task(1, attempt=7), raises, around(worker()), now=START + 1).evidence[-1] == "attempt 7 is next"
    taken = classify(task(2, attempt=7), raises, around(worker()), now=START + 1)
    assert taken.evidence[-1] == "attempt 7 is under way"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("[TMPRL1103] Attempted to upload", "PayloadsTooLarge"), ("Complete result exceeds size limit.", "")],
)
def test_a_result_of_an_activity_that_is_too_large_becomes_a_reference(text: str, kind: str) -> None:
    large = activity(1, attempt=3, due=9, failure=failure(text, kind))
    assert "one payload (an input or a result) may have 2 MB" in classify(large, (), around(worker()), waited=0).fix


@pytest.mark.parametrize("outer", ["Failure exceeds size limit.", "Activity task failed"])
def test_an_error_with_a_long_stack_is_no_payload_that_is_too_large(outer: str) -> None:
    """From 4 KB on, the server puts its own words around a shortened error; an activity has limits of its own, too."""
    long = failure(outer, "")
    long.cause.CopyFrom(failure("the picture exceeds size limit of the shop", "ValueError"))
    found = classify(activity(1, attempt=3, due=9, failure=long), (), around(worker()), waited=0)
    assert "the picture exceeds" in found.finding
    assert found.fix.startswith("fix what the error names")


@pytest.mark.parametrize("cause", [NON_DETERMINISTIC, UNHANDLED])
def test_what_has_ended_is_retried_and_never_terminated(cause: int) -> None:
    history = events(STARTED, TASK, TAKEN, task_failed("bug", cause), TIMED_OUT)
    fix = classify(described("timed_out", closed=60), history).fix
    assert "mika workflows retry process_message_1" in fix
    assert "terminate" not in fix
    assert "by itself" not in fix


def test_who_asked_a_step_to_end() -> None:
    paused_one = classify(paused(4, failure=failure("429")), (), around(worker()), now=START + 9)
    who = "me@vm paused it: look first"
    assert paused_one.evidence == (who, "attempt 2 is next; last failure: LlmError: 429")
    learns = "its worker learns of that when it sends a heartbeat"
    pausing = classify(paused(5), (), around(worker()), now=START + 9)
    assert pausing.evidence == (f"it has been asked to pause: {learns}", who, "no heartbeat so far")
    canceled = activity(3)
    canceled.pending_activities[0].last_heartbeat_time.FromNanoseconds(round((START + 7) * 1e9))
    found = classify(canceled, (), around(worker()), now=START + 9)
    assert found.evidence == (f"it has been asked to cancel: {learns}", "last heartbeat 2.0 s ago")


def test_a_message_in_the_wrong_queue_is_retried_once_the_starter_is_right() -> None:
    """It stays in its queue: unlike one whose worker is started again, it needs a second start."""
    by_starter = classify(task(1, queue="mika_bot_task_queue"), (), around(worker()), now=START + 4)
    by_worker = classify(task(1), (), around(worker("mika_bot_task_queue")), now=START + 4)
    assert by_starter.fix.count("mika workflows retry process_message_1") == 1
    assert "retry" not in by_worker.fix


def test_where_a_misplaced_worker_is() -> None:
    there = find_misplaced(QUEUE, around(worker("mika_bot_task_queue", identity="7@vm")))
    assert there is not None
    assert (there.cause, there.worker.identity, there.place) == (Cause.WRONG_TASK_QUEUE, "7@vm", "mika_bot_task_queue")
    assert (there.wrong, there.setting, there.value) == ("worker", "TEMPORAL_TASK_QUEUE", QUEUE)
    there = find_misplaced(QUEUE, around(worker(namespace="prod")))
    assert there is not None
    assert (there.cause, there.place) == (Cause.WRONG_NAMESPACE, f"{QUEUE} in the namespace prod")
    assert (there.wrong, there.setting, there.value) == ("worker", "TEMPORAL_NAMESPACE", "default")
    assert find_misplaced(QUEUE, around(worker())) is None
    assert find_misplaced(QUEUE, around(worker("billing"))) is None


def several(*pollers: Poller) -> Surroundings:
    """A project with two queues whose names are similar, and a process for each of them."""
    commands = {name: WorkerCommands((f"mika start {name}",)) for name in ("mail-1", "mail-2")}
    stopped = replace(commands["mail-1"], down="mail-1 was stopped", cure="`mika start mail-1`")
    return Surroundings(pollers=pollers, serving={**commands, "mail-1": stopped})


def test_the_worker_of_another_queue_of_the_project_is_where_it_should_be() -> None:
    found = classify(task(1, queue="mail-1"), (), several(worker("mail-2")), now=START + 4)
    assert (found.cause, found.fix) == (Cause.NO_WORKER, "`mika start mail-1`")
    assert found.finding == "no worker has taken it for 4.0 s: mail-1 was stopped (task queue mail-1)"
    astray = find_misplaced("mail-1", several(worker("mail_1"), worker("mail-2")))
    assert astray is not None
    assert (astray.worker.queue, astray.wrong, astray.setting) == ("mail_1", "worker", "")
    assert astray.fix == "correct the task queue in that worker (it should be mail-1), and start it again"
    started = find_misplaced("mail_2", several(worker("mail-2")))
    assert started is not None
    assert started.fix == "correct the task queue where the workflows are started: mail-2 has a worker"
    assert find_misplaced("billing", several(worker("mail-2"))) is None


def served(*pollers: Poller) -> Surroundings:
    """A project with one process, for the queue of its workflows."""
    return replace(around(*pollers), serving={QUEUE: COMMANDS})


NOT_SERVED = "the settings name no process that polls nobody: start a worker that does, or "
IN_CODE = NOT_SERVED + "correct the task queue in the code of the workflow that names it"


def test_a_queue_that_no_process_of_the_project_polls() -> None:
    """To restart the one that polls another queue would help nobody."""
    called = activity(1)
    called.pending_activities[0].activity_options.task_queue.name = "nobody"
    found = classify(called, (), served(worker()), now=START + 9)
    assert (found.cause, found.fix, found.queue) == (Cause.NO_WORKER, IN_CODE, "nobody")
    child = task(1, queue="nobody")
    child.workflow_execution_info.parent_execution.workflow_id = "order-1"
    assert classify(child, (), served(worker()), now=START + 9).fix == IN_CODE
    started = classify(task(1, queue="nobody"), (), several(), now=START + 9)
    assert started.fix == NOT_SERVED + "start the workflow in another task queue"
    own = classify(activity(1), (), served(), now=START + 9)
    assert (own.fix, own.queue) == ("start a worker: `mika start worker`", QUEUE)


def test_a_step_that_no_process_of_the_project_polls_for_in_time() -> None:
    expired = ("ACTIVITY_TASK_TIMED_OUT", 2, {"scheduled_event_id": ASK_ID, "failure": failure("", timeout=2)})
    history = asked(expired, ended_by(failure("activity ScheduleToStart timeout", timeout=2)), queue="nobody")
    busy = replace(served(worker()), crowd=Crowd(9, 9, 9.0))
    found = classify(described("failed", closed=3), history, busy, now=START + 9)
    assert found.cause == Cause.TIMED_OUT_NO_WORKER
    assert found.finding.endswith(" (task queue nobody)")
    assert found.fix == IN_CODE + "; then `mika workflows retry process_message_1`"
    pending = activity(1, status="timed_out", closed=60)
    pending.pending_activities[0].activity_options.task_queue.name = "nobody"
    late = classify(pending, asked(), busy, now=START + 99)
    assert (late.cause, late.evidence[0]) == (Cause.TIMED_OUT_NO_WORKER, "task queue nobody")
    assert late.fix == IN_CODE + "; then `mika workflows retry process_message_1`"


def test_a_killed_worker_of_a_queue_that_no_process_of_the_project_polls() -> None:
    called = activity(2)
    called.pending_activities[0].activity_options.task_queue.name = "nobody"
    found = classify(called, (), served(worker("nobody", state="gone")), now=START + 9)
    assert (found.cause, found.fix) == (Cause.NO_WORKER, "start a worker that polls nobody")


def test_two_processes_that_poll_one_queue_have_to_be_alike() -> None:
    both = replace(around(worker()), worker=replace(COMMANDS, processes=("wa", "wb")))
    poll = "wa, wb poll the same task queue, and each gets any of its tasks: register "
    apart = " in all of them, or give each a task queue of its own, then `mika restart wa wb`"
    refused = raised("Workflow class A is not registered on this worker, available workflows: B")
    found = classify(task(1, attempt=2), refused, both, now=START + 1)
    assert found.cause == Cause.WORKFLOW_TASK_FAILING
    assert found.fix == f"{poll}that workflow{apart}"
    unknown = failure("Activity function x is not registered on this worker")
    retried = classify(activity(1, since=9, attempt=3, due=12, failure=unknown), (), both, now=START + 10)
    assert retried.fix == f"{poll}an activity of that name{apart}"
    none_runs = replace(both, worker=WorkerCommands(("mika up",), processes=("wa", "wb")))
    found = classify(task(1, attempt=2), refused, none_runs, now=START + 1)
    assert found.fix.endswith(", or give each a task queue of its own, then restart the worker")


@pytest.mark.parametrize(
    ("commands", "start", "restart", "then"),
    [
        (WorkerCommands(), "start a worker", "stop its process and start it again", "then restart the worker"),
        (
            WorkerCommands(("mika start w",), ("mika restart w",)),
            "start a worker: `mika start w`",
            "restart it: `mika restart w`",
            "then `mika restart w`",
        ),
        (
            WorkerCommands(("mika down", "mika up"), by_hand="python w.py"),
            "start a worker: `mika down` and `mika up`, or by hand `python w.py`",
            "stop its process and start it again: `python w.py`",
            "then restart the worker",
        ),
        (
            WorkerCommands(("mika start w",), ("mika restart w",), "python w.py"),
            "start a worker: `mika start w`, or by hand `python w.py`",
            "restart it: `mika restart w`, or stop its process and start it again: `python w.py`",
            "then `mika restart w`",
        ),
    ],
)
def test_how_a_worker_is_started(commands: WorkerCommands, start: str, restart: str, then: str) -> None:
    assert (commands.how_to_start(), commands.how_to_restart(), commands.then_restart()) == (start, restart, then)


def test_a_command_with_an_odd_id_can_be_pasted() -> None:
    description = described("canceled", closed=3)
    description.workflow_execution_info.execution.workflow_id = "order 7; ls"
    assert "`mika workflows retry 'order 7; ls'`" in classify(description).fix


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RPCError("Timeout expired", RPCStatusCode.CANCELLED, b""), CallError.TIMEOUT),
        (RPCError("", RPCStatusCode.DEADLINE_EXCEEDED, b""), CallError.TIMEOUT),
        (RPCError("", RPCStatusCode.NOT_FOUND, b""), CallError.NOT_FOUND),
        (RPCError("", RPCStatusCode.PERMISSION_DENIED, b""), CallError.DENIED),
        (RPCError("", RPCStatusCode.UNAUTHENTICATED, b""), CallError.DENIED),
        (RPCError("", RPCStatusCode.UNAVAILABLE, b""), CallError.UNREACHABLE),
        (RPCError("", RPCStatusCode.INTERNAL, b""), CallError.FAILED),
        (RuntimeError("Failed client connect"), CallError.UNREACHABLE),
        (TimeoutError(), CallError.TIMEOUT),
        (ValueError(), CallError.FAILED),
    ],
)
def test_kinds_of_errors(error: Exception, expected: CallError) -> None:
    assert call_error(error) == expected


def test_text_in_a_query() -> None:
    assert literal("it's") == "'it''s'"


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
