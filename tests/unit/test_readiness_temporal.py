"""What is said while Temporal, or a worker, is not there yet."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from mika.readiness import temporal
from mika.readiness.ladder import Hopeless, NotYet
from mika.readiness.temporal import NotPolling, TemporalProbe, exited_before

FIX = "if one of these is it: it has an identity of its own, and needs the one in its variable MIKA_WORKER_IDENTITY"


# --- an identity of its own: mika cannot know that it is the worker that it has started -------------------------------


class Probe(TemporalProbe):
    def __init__(self, *identities: str) -> None:
        super().__init__("127.0.0.1", 7233, "default", {})
        self._pollers = [SimpleNamespace(identity=identity) for identity in identities]

    async def _temporal(self):
        return self

    def in_namespace(self, namespace):
        return self

    async def queue_state(self, queue, task_type):
        return SimpleNamespace(pollers=self._pollers)


@pytest.mark.parametrize(
    ("identities", "fix"),
    [
        (["bcqgeoynop", "1@host"], FIX),
        (["1@host", "2@host@queue"], ""),
        (["worker-1f3a"], FIX),
        (["worker@3f9c0a12b4d5e6f7-1"], ""),
        ([], ""),
    ],
)
def test_a_poller_that_has_an_identity_of_its_own(identities, fix):
    with pytest.raises(NotPolling) as caught:
        asyncio.run(Probe(*identities).own_pollers("q", lambda _identity: False))
    assert caught.value.reason.fix == fix
    assert caught.value.reason.text.startswith("it does not poll q yet")


def test_a_worker_that_has_just_exited_is_not_said_to_poll():
    """The server lists it for minutes."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = f"{process.pid}@{socket.gethostname()}"
    with pytest.raises(NotPolling) as caught:
        asyncio.run(Probe(gone, f"{gone}@q").own_pollers("q", lambda _identity: False))
    assert str(caught.value.reason.text) == "it does not poll q yet"
    with pytest.raises(NotPolling) as caught:
        asyncio.run(Probe(gone, f"{os.getpid()}@{socket.gethostname()}").own_pollers("q", lambda _identity: False))
    assert f"(others do: {os.getpid()}@" in caught.value.reason.text
    others = [f"worker@{run}-{number}" for run, number in (("ab12", 1), ("ab12", 9), ("cd34", 10), ("ab12", 11))]
    has_exited = exited_before("worker@ab12-10")
    with pytest.raises(NotPolling) as caught:
        asyncio.run(Probe(gone, *others).own_pollers("q", lambda _identity: False, has_exited=has_exited))
    assert caught.value.reason.text == "it does not poll q yet (others do: worker@ab12-11, worker@cd34-10)"


# --- its host name ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "is_of_compose"), [("temporal", True), ("temporal.example.org", False)])
def test_a_host_name_that_may_be_one_of_compose(monkeypatch, host, is_of_compose):
    async def fails(_host, _port):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(temporal, "tcp", fails)
    port_open = TemporalProbe(host, 7233, "default", {}).rungs("q")[0]
    with pytest.raises(NotYet) as caught:
        asyncio.run(port_open.probe())
    assert not isinstance(caught.value, Hopeless)
    if is_of_compose:
        assert caught.value.reason.text == (
            "the host name `temporal` cannot be resolved here: that of a compose service exists only inside compose"
        )
        assert caught.value.reason.fix == "let TEMPORAL_ADDRESS be where compose publishes it, such as localhost:7233"
    else:
        assert caught.value.reason.text.startswith("the host name `temporal.example.org` cannot be resolved now (")
        assert caught.value.reason.fix == "is the network up? The name is from TEMPORAL_ADDRESS"


def test_a_server_that_is_not_there_is_named_with_its_address(monkeypatch):
    async def fails(_host, _port):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(temporal, "tcp", fails)
    with pytest.raises(NotYet) as caught:
        asyncio.run(TemporalProbe("10.0.0.7", 7300, "default", {}).rungs("q")[0].probe())
    assert caught.value.reason.text == "10.0.0.7:7300: connection refused"
