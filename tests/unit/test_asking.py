"""What is said of a call to Temporal that failed."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from mika.cli.asking import ask, failed_call
from mika.cli.context import Context
from mika.diagnosis.temporal import RPC_TIMEOUT, Temporal
from mika.doctor import examination
from mika.doctor.server import Server
from mika.errors import MikaError
from temporalio.service import RPCError, RPCStatusCode


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (RPCStatusCode.CANCELLED, "Temporal did not answer in time"),  # what the SDK makes of its own deadline
        (RPCStatusCode.DEADLINE_EXCEEDED, "Temporal did not answer in time"),
        (RPCStatusCode.UNAVAILABLE, "Temporal cannot be reached: why"),
        (RPCStatusCode.INVALID_ARGUMENT, "Temporal refuses: why"),
    ],
)
def test_only_what_the_server_refused_is_called_so(status: RPCStatusCode, message: str) -> None:
    failed = failed_call(RPCError("why", status, b""))
    assert (failed.message, failed.hint, failed.code) == (message, "`mika doctor` checks it", "temporal_error")


def test_a_command_is_more_patient_than_the_doctor(tmp_path, monkeypatch) -> None:
    timeouts = []

    async def count(_request, *, timeout, retry):
        assert not retry
        timeouts.append(timeout)
        raise RPCError("", RPCStatusCode.DEADLINE_EXCEEDED, b"")

    async def look(_host, _port, namespace, _variables, rpc_timeout):
        client = SimpleNamespace(workflow_service=SimpleNamespace(count_workflow_executions=count))
        return Server("up", "", connection=Temporal(client, namespace, rpc_timeout))

    async def work(exam):
        await (await exam.temporal()).in_namespace("other").count_workflows()

    monkeypatch.setattr(examination, "look", look)
    with pytest.raises(MikaError, match="did not answer in time"):
        ask(Context(tmp_path), work)
    assert timeouts[0] > timedelta(seconds=2 * RPC_TIMEOUT)
