"""A stack that becomes ready after its time limit, while mika finds out why it is not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mika.errors import MikaError
from mika.stack import stack as stack_module
from mika.stack.stack import Stack


@pytest.mark.parametrize("state", ["ready", "starting"])
def test_who_is_ready_during_the_diagnosis_is_not_stopped(monkeypatch, state):
    """`mika up -d` has said so by then, and returned 0."""
    supervisor = SimpleNamespace(
        state="starting",
        end_code=lambda: None,
        units_failed=list,
        units_hopeless=list,
        units_not_ready=lambda: [] if supervisor.state == "ready" else ["web"],
        is_done=lambda: False,
    )

    async def diagnose(*_arguments: object) -> MikaError:
        supervisor.state = state
        return MikaError("not ready after 0 s", code="not_ready")

    async def begin() -> None:
        self = SimpleNamespace(
            _options=SimpleNamespace(timeout=0.0, watch=False),
            _stop=asyncio.Event(),
            _prepared=SimpleNamespace(backend=SimpleNamespace(busy_seconds=lambda: 0.0)),
            _config=None,
            _folder=None,
        )
        await Stack._until_ready(self, supervisor)

    monkeypatch.setattr(stack_module, "not_ready", diagnose)
    if state == "ready":
        asyncio.run(begin())
    else:
        with pytest.raises(MikaError, match="not ready"):
            asyncio.run(begin())
