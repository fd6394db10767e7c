"""The latest workflows, looked at again and again: what has not changed is not judged again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mika.diagnosis.model import Cause, Diagnosis
from mika.doctor.workflows import following
from mika.doctor.workflows.following import Following
from mika.doctor.workflows.judge import Diagnosed

from tests.kit.temporal_protos import START, at, described


class Server:
    """What is listed, and what was judged since the last look; `now` in seconds since the start."""

    def __init__(self) -> None:
        self.listed = {}
        self.now = 0.0
        self.judged = []

    def has(self, run: str, status: str, *, began: float = 0.0) -> None:
        info = described(status, closed=1.0 if status != "running" else 0.0).workflow_execution_info
        info.execution.run_id = info.execution.workflow_id = run
        at(info.start_time, began)
        self.listed[run] = info

    async def server_time(self) -> float:
        return START + self.now


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    async def listed(_exam, count):
        return list(server.listed.values())[:count]

    async def judged_now(_exam, infos):
        server.judged += [info.execution.run_id for info in infos]
        return [Diagnosed(Diagnosis(Cause.RUNNING, f"at {server.now:g}")) for _ in infos]

    monkeypatch.setattr(following, "listed", listed)
    monkeypatch.setattr(following, "judged_now", judged_now)
    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=lambda: 50 + server.now))
    return server


def look(follow: Following, server: Server, now: float) -> list[str]:
    """Who is judged at that time."""
    server.now, server.judged = now, []
    asyncio.run(follow.look(server, 10))  # type: ignore[arg-type]
    return server.judged


def test_only_what_may_have_changed_is_judged_again(server):
    follow = Following()
    server.has("ended", "completed")
    server.has("young", "running")
    assert look(follow, server, 0.5) == ["ended", "young"]
    assert look(follow, server, 1.5) == []
    assert look(follow, server, 3.0) == ["young"]
    server.has("young", "failed")
    server.has("new", "running", began=3)
    assert look(follow, server, 3.5) == ["young", "new"]
    assert look(follow, server, 1000) == ["new"]
    assert look(follow, server, 1020) == [], "one that has run for long is not asked as often"
    assert look(follow, server, 1031) == ["new"]


def test_what_is_listed_no_more_is_forgotten(server):
    follow = Following()
    server.has("ended", "completed")
    look(follow, server, 0)
    server.listed.clear()
    look(follow, server, 1)
    server.has("ended", "completed")
    assert look(follow, server, 2) == ["ended"]
