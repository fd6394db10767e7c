"""Who waits for a workflow, or for its answer: through a reset, and when the server refuses to ask it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mika.diagnosis.model import Cause, Diagnosis
from mika.doctor.workflows import talking
from mika.doctor.workflows.talking import Answer
from mika.errors import MikaError
from mika.stack import running
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from tests.kit.temporal_protos import STATUS

DONE = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'"ok"'))


class Server:
    """An examination, the server behind it and a client of that; `ends`: what each run of its workflow ends with."""

    def __init__(self, ends: dict[str, RawValue | None], first: str, status: str) -> None:
        self._ends, self._run = ends, ""
        self._latest = DescribeWorkflowExecutionResponse()
        info = self._latest.workflow_execution_info
        info.execution.run_id, info.first_run_id, info.status = list(ends)[-1], first, STATUS[status]  # type: ignore[assignment]

    async def temporal(self) -> Server:
        return self

    async def describe(self, _workflow_id: str) -> DescribeWorkflowExecutionResponse:
        return self._latest

    def get_workflow_handle(self, _workflow_id: str, *, run_id: str, result_type: type) -> Server:
        assert result_type is RawValue
        self._run = run_id
        return self

    async def result(self) -> RawValue:
        end = self._ends[self._run]
        if end is None:
            raise WorkflowFailureError(cause=TerminatedError(""))
        return end


@pytest.mark.parametrize(
    ("server", "answer", "said"),
    [
        (Server({"1": DONE}, "1", "completed"), Answer("ok"), []),
        (Server({"1": None}, "1", "terminated"), None, []),
        (Server({"1": None, "2": DONE}, "1", "running"), Answer("ok"), ["order was reset: its run 2 goes on"]),
        (Server({"1": None, "2": DONE}, "1", "completed"), Answer("ok"), []),
        (Server({"1": None, "2": None}, "1", "terminated"), None, []),
        (Server({"1": None, "2": DONE}, "2", "running"), None, []),  # somebody started it once more
        (Server({"1": None, "2": DONE}, "", "running"), None, []),  # an older server
    ],
)
def test_a_run_that_was_reset(
    monkeypatch: pytest.MonkeyPatch, server: Any, answer: Answer | None, said: list[str]
) -> None:
    async def client(exam: Any) -> Any:
        return exam

    monkeypatch.setattr(talking, "client_of", client)
    heard: list[str] = []
    assert asyncio.run(talking.result(server, "order", "1", heard.append)) == answer
    assert heard == said


class SlowServer(Server):
    async def result(self) -> RawValue:
        await asyncio.sleep(0.2)
        return await super().result()


def test_who_waits_hears_once_of_each_thing_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(exam: Any) -> Any:
        return exam

    found = [
        Diagnosis(Cause.RUNNING, "it has been running for 1 s"),
        Diagnosis(Cause.ACTIVITY_RETRYING, "the activity pay fails: attempt 2", (), "see its log"),
        Diagnosis(Cause.ACTIVITY_RETRYING, "the activity pay fails: attempt 3", (), "see its log"),
        Diagnosis(Cause.NO_WORKER, "no worker takes it"),
        Diagnosis(Cause.WORKFLOW_FAILED, "it failed"),  # its end, which the server is about to tell
    ]

    async def diagnose(_exam: Any, _workflow_id: str) -> Diagnosis:
        return found.pop(0) if len(found) > 1 else found[0]

    monkeypatch.setattr(talking, "client_of", client)
    monkeypatch.setattr(talking, "diagnose_again", diagnose)
    monkeypatch.setattr(talking, "_LOOK_AGAIN", 0.01)
    heard: list[str] = []
    server: Any = SlowServer({"1": DONE}, "1", "running")
    assert asyncio.run(talking.result(server, "order", "1", heard.append)) == Answer("ok")
    assert heard == [
        "order waits: the activity pay fails: attempt 2; see its log",
        "order waits: no worker takes it",
    ]


class Refusing:
    """An examination, and a client of a server that refuses every question."""

    def __init__(self, status: RPCStatusCode) -> None:
        self._status = status

    def get_workflow_handle(self, _workflow_id: str, *, run_id: str) -> Refusing:
        assert run_id == "1"
        return self

    async def query(self, _name: str, **_options: object) -> None:
        raise RPCError("Workflow task is not scheduled yet.", self._status, b"")

    execute_update = query


@pytest.mark.parametrize("verb", ["query", "update"])
@pytest.mark.parametrize(
    ("diagnosis", "hint"),
    [
        (Diagnosis(Cause.RUNNING, "it begins in 60 s"), "`mika doctor --workflow order` shows its history"),
        (Diagnosis(Cause.WORKFLOW_TASK_FAILING, "it begins in 60 s", (), "fix the code"), "fix the code"),
    ],
)
def test_a_question_that_the_server_refuses(
    monkeypatch: pytest.MonkeyPatch, verb: Any, diagnosis: Diagnosis, hint: str
) -> None:
    async def client(exam: Any) -> Any:
        return exam

    async def diagnose(_exam: object, _workflow_id: str) -> Diagnosis:
        return diagnosis

    monkeypatch.setattr(talking, "client_of", client)
    monkeypatch.setattr(talking, "diagnose_again", diagnose)
    order = WorkflowExecution(workflow_id="order", run_id="1")
    exam: Any = Refusing(RPCStatusCode.FAILED_PRECONDITION)
    with pytest.raises(MikaError) as raised:
        asyncio.run(talking.ask(exam, order, verb, "state", [], print))
    said = "order does not answer: it begins in 60 s (Temporal: Workflow task is not scheduled yet.)"
    assert (raised.value.message, raised.value.hint) == (said, hint)
    exam = Refusing(RPCStatusCode.UNAVAILABLE)
    with pytest.raises(RPCError):
        asyncio.run(talking.ask(exam, order, verb, "state", [], print))


class Slow:
    """An examination, and a client of a workflow that answers after some looks."""

    def __init__(self) -> None:
        self.looks = 0

    def get_workflow_handle(self, _workflow_id: str, *, run_id: str) -> Slow:
        assert run_id == "1"
        return self

    async def query(self, _name: str, **_options: object) -> RawValue:
        while self.looks < 3:
            await asyncio.sleep(0)
        return DONE


def test_who_waits_for_an_answer_hears_once_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(exam: Any) -> Any:
        return exam

    async def diagnose(exam: Slow, _workflow_id: str) -> Diagnosis:
        exam.looks += 1
        return Diagnosis(Cause.RUNNING, f"pending: a timer (due in {9 - exam.looks}.0 s)")

    monkeypatch.setattr(talking, "client_of", client)
    monkeypatch.setattr(talking, "diagnose_again", diagnose)
    monkeypatch.setattr(talking, "_LOOK_AGAIN", 0.01)
    heard: list[str] = []
    exam: Any = Slow()
    order = WorkflowExecution(workflow_id="order", run_id="1")
    assert asyncio.run(talking.ask(exam, order, "query", "state", [], heard.append)) == Answer("ok")
    assert heard == ["order has not answered yet: pending: a timer (due in 8.0 s)"]


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("worker: not checked: it is in Go", "sent as JSON (worker: not checked: it is in Go)"),
        ("", "sent as JSON, and not checked (no rule names q)"),
    ],
)
def test_that_nothing_was_checked_is_said_once(said: str, note: str) -> None:
    assert running._as_json(said, "no rule names q") == note
