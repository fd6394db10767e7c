"""What is said by who waits for a process: that its time is over, or what became of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mika.cli import process
from mika.errors import MikaError
from mika.reason import Reason
from mika.stack import waiting
from mika.stack.waiting import _listens_elsewhere, until_ready
from mika.status import LastExit, Phase, StackStatus, UnitStatus


def status_with(*units: UnitStatus) -> StackStatus:
    return StackStatus(
        state="degraded",
        backend="none",
        supervisor_pid=1,
        uptime_s=1.0,
        busy_s=0.0,
        services=(),
        processes=units,
        urls={},
    )


def late(*units: UnitStatus, timeout: float = 0.0) -> MikaError:
    client = cast("Any", SimpleNamespace(status=lambda: status_with(*units)))
    with pytest.raises(MikaError) as told:
        until_ready(client, (), timeout)
    return told.value


def test_what_somebody_stopped_is_told_with_the_command_that_starts_it() -> None:
    stopped = UnitStatus(name="app", role="process", phase=Phase.STOPPED, reason=Reason("stopped", "`mika start app`"))
    error = late(
        stopped, UnitStatus(name="web", role="process", phase=Phase.STARTING, reason=Reason("connect: refused"))
    )
    assert error.message == "not ready after 0 s: app is stopped; web is starting: connect: refused"
    assert error.hint == "`mika start app`"


def test_where_nothing_is_known_the_logs_are_named() -> None:
    assert late(UnitStatus(name="web", role="process", phase=Phase.STARTING)).hint == "see `mika logs`"


@pytest.mark.parametrize(
    ("rule", "port"),
    [
        ("http://127.0.0.1:8000/x 4xx", "8000"),
        ("https://localhost/", "443"),
        ("tcp:8000", "8000"),
        ("tcp:5000", None),
        ("http://127.0.0.1:5000/", None),
        ("worker:q", None),
        ("log:x", None),
    ],
)
def test_who_listens_at_another_port_than_its_rule_says(rule: str, port: str | None):
    web = UnitStatus(name="web", role="process", phase=Phase.STARTING, address=rule, listens=("0.0.0.0:5000",))
    said = _listens_elsewhere([web])
    assert said == (
        f"web listens at 0.0.0.0:5000, and its `ready` rule asks at port {port}: correct one of the two, "
        "or allow more time with --timeout"
        if port
        else None
    )
    silent = UnitStatus(name="web", role="process", phase=Phase.STARTING, address=rule)
    assert not _listens_elsewhere([silent])


def test_what_somebody_stopped_is_not_waited_for_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "APPEARS", 0.2)
    stopped = UnitStatus(name="app", role="process", phase=Phase.STOPPED, reason=Reason("stopped", "`mika start app`"))
    assert late(stopped, timeout=60).hint == "`mika start app`"


def test_what_runs_once_is_not_said_to_be_ready() -> None:
    done = LastExit(code=0, reason=Reason("exit code 0"), ago_s=0.0)
    migrate = UnitStatus(name="migrate", role="process", phase=Phase.EXITED, last_exit=done)
    web = UnitStatus(name="web", role="process", phase=Phase.READY)
    lines = list(process._reached("restart", ["web", "migrate"], status_with(web, migrate), 0.5))
    assert lines == ["ready: web (0.5 s)", "done, with exit code 0: migrate (0.5 s)"]
    assert list(process._reached("stop", ["migrate"], status_with(migrate), 0.5)) == ["stopped: migrate (0.5 s)"]
