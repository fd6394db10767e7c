"""What is said to a worker whose identity is its own: mika cannot know that it is the one it has started."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mika.readiness.temporal import NotPolling, TemporalProbe

FIX = 'if one of these is it: it has an identity of its own, and needs identity=os.environ.get("MIKA_WORKER_IDENTITY")'


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
    [(["bcqgeoynop", "1@host"], FIX), (["1@host", "2@host@queue"], ""), (["worker-1f3a"], FIX), ([], "")],
)
def test_a_poller_that_has_an_identity_of_its_own(identities, fix):
    with pytest.raises(NotPolling) as caught:
        asyncio.run(Probe(*identities).own_pollers("q", lambda _identity: False))
    assert caught.value.reason.fix == fix
    assert caught.value.reason.text.startswith("it does not poll q yet")
