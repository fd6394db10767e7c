"""What is said of a namespace that nobody declares any more."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from mika.config.declared import Declared
from mika.declared.drift import Server, differences
from mika.declared.record import Made, Record
from mika.diagnosis.temporal import Temporal
from mika.project.folder import ProjectDir
from temporalio.service import RPCError, RPCStatusCode


class Orders:
    """A server with the namespace `orders`, of which `namespace` is the one in use."""

    def __init__(self, namespace: str = "default", running: int | None = 0, polled: tuple[str, ...] = ()) -> None:
        self.namespace, self.running, self.polled = namespace, running, polled

    def in_namespace(self, namespace: str) -> Orders:
        return Orders(namespace, self.running, self.polled)

    async def describe_namespace(self) -> None:
        pass

    async def count_workflows(self, query: str) -> int:
        assert query == "ExecutionStatus = 'Running'"
        if self.running is None:
            raise RPCError("no database", RPCStatusCode.UNAVAILABLE, b"")
        return self.running

    async def heartbeating_queues(self) -> set[str]:
        return set(self.polled)


def found(folder: ProjectDir, server: Orders) -> list[tuple[str, str]]:
    record = Record(folder, "embedded")
    record.put(("namespace", "orders", "orders"), Made("orders", "orders"))
    there = Server(cast("Temporal", server), "127.0.0.1:7233", is_ours=True)
    return [(reason.text, reason.fix) for reason in asyncio.run(differences(there, Declared(), record))]


@pytest.fixture
def folder(tmp_path):
    this = ProjectDir(tmp_path)
    this.create()
    return this


def test_one_that_nobody_uses_may_be_deleted(folder):
    ((text, fix),) = found(folder, Orders())
    assert text == "the namespace orders was declared before, and is still there"
    assert "temporal operator namespace delete --namespace orders" in fix


@pytest.mark.parametrize("server", [Orders("orders"), Orders(polled=("jobs",))])
def test_one_in_which_this_project_or_a_worker_is_counts_as_declared(folder, server):
    assert not found(folder, server)


@pytest.mark.parametrize("running", [1, None])
def test_one_that_may_have_open_runs_is_not_to_be_deleted(folder, running):
    assert found(folder, Orders(running=running)) == [
        ("the namespace orders was declared before, and is still there", "declare it again")
    ]
