"""Who waits for the end of a workflow follows it through a reset."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mika.doctor.workflows import talking
from mika.doctor.workflows.talking import Answer
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import TerminatedError

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
