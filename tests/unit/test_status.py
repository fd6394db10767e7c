"""The typed status: what is asked of a unit, and the JSON of `mika status`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from mika.reason import NONE, Reason, Repair
from mika.status import LastExit, Phase, StackStatus, UnitStatus


def unit(phase: Phase = Phase.READY, *, code: int | None = None, **more: Any) -> UnitStatus:
    last = LastExit(code, Reason(f"exit code {code}"), 1.5) if code is not None else None
    return UnitStatus(
        **{"name": "worker.1", "type": "worker", "role": "process", "phase": phase, "last_exit": last, **more}
    )


FULL = StackStatus(
    state="degraded",
    backend="docker",
    supervisor_pid=7,
    uptime_s=12.3,
    busy_s=1.0,
    services=(
        unit(
            Phase.UNHEALTHY,
            name="mongodb",
            type="mongodb",
            role="service",
            kind="container",
            container="removed",
            address="127.0.0.1:27017",
            reason=Reason("its container was removed", "`mika up`", Repair("up")),
        ),
        unit(name="temporal-ui", role="service", required=False),
    ),
    processes=(
        unit(Phase.BACKOFF, code=-9, restarts=3),
        unit(name="web", type="web", failing=Reason("failed 3 times in a row: exit code 1", "fix that")),
        unit(name="api", type="api", pid=9, uptime_s=1.0, rss_mb=2.5),
    ),
    urls={"api": "http://127.0.0.1:8000"},
)


def test_json_and_back_is_the_same():
    assert StackStatus.from_json(json.loads(json.dumps(FULL.as_json()))) == FULL


def test_the_contract_of_status_json():
    value = FULL.as_json()
    assert value["version"] == 1
    assert value["supervisor"] == {"pid": 7, "uptime_s": 12.3, "busy_s": 1.0}
    service, process = value["services"][0], value["processes"][0]
    assert {"name", "kind", "state", "address", "detail"} <= service.keys()
    assert (service["state"], service["detail"], service["fix"]) == (
        "unhealthy",
        "its container was removed",
        "`mika up`",
    )
    assert {"name", "pid", "state", "restarts", "uptime_s", "rss_mb", "last_exit", "detail"} <= process.keys()
    assert process["last_exit"] == {"code": -9, "reason": "exit code -9", "ago_s": 1.5}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(UnitStatus)])
def test_no_field_of_a_unit_is_lost_on_the_way(field):
    kept = UnitStatus.from_json("service", json.loads(json.dumps(FULL.services[0].as_json())))
    assert getattr(kept, field) == getattr(FULL.services[0], field)


@pytest.mark.parametrize(
    "broken", [{}, [], 3, None, {"state": "ready"}, {**FULL.as_json(), "processes": [{"name": "x", "phase": "odd"}]}]
)
def test_what_another_version_wrote_is_refused_with_a_known_error(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        StackStatus.from_json(broken)


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.READY, "ready"),
        (Phase.UNHEALTHY, "unhealthy"),
        *((phase, "exited") for phase in (Phase.STOPPED, Phase.EXITED, Phase.GAVE_UP)),
        *((phase, "starting") for phase in (Phase.WAITING, Phase.STARTING, Phase.BACKOFF, Phase.STOPPING)),
    ],
)
def test_a_service_has_the_four_states_of_the_contract_and_a_process_its_phase(phase, state):
    assert unit(phase, role="service").state == state
    assert unit(phase).state == phase.value


@pytest.mark.parametrize(
    ("phase", "code", "is_done", "has_failed"),
    [
        (Phase.EXITED, 0, True, False),
        (Phase.EXITED, 3, False, True),
        (Phase.EXITED, None, False, True),
        (Phase.GAVE_UP, 0, False, True),
        (Phase.STOPPED, 0, False, False),
        (Phase.BACKOFF, 3, False, False),
        (Phase.READY, 3, False, False),
    ],
)
def test_done_and_failed(phase, code, is_done, has_failed):
    found = unit(phase, code=code)
    assert (found.is_done, found.has_failed) == (is_done, has_failed)
    assert found.is_ok is (is_done or phase is Phase.READY)


def test_at_rest_needs_more_than_a_phase():
    assert unit(Phase.STOPPED).is_at_rest
    assert not unit(Phase.STOPPED, pid=3).is_at_rest, "its process is still there"
    assert not unit(Phase.BACKOFF).is_at_rest


def test_what_only_waits_or_is_only_watched_is_not_there_to_be_stopped():
    """`stopped worker, temporal in 0.2 s` of a worker that was never started would be false."""
    assert not unit(Phase.WAITING).is_to_stop
    assert unit(Phase.WAITING, pid=3).is_to_stop
    assert not unit(Phase.EXITED).is_to_stop
    assert unit(Phase.BACKOFF).is_to_stop
    assert not unit(kind="external", role="service").is_to_stop, "mika never stops a server that it only watches"


def test_units_by_the_name_that_a_person_writes():
    assert [found.name for found in FULL.matching("worker")] == ["temporal-ui", "worker.1"]
    assert [found.name for found in FULL.matching("worker.1")] == ["worker.1"]
    assert FULL.matching("nobody") == ()
    assert [found.name for found in FULL.of_types({"api"})] == ["api"]
    assert FULL.unit("mongodb") is FULL.services[0]
    assert FULL.unit("worker") is None


def test_a_reason_within_another_one_keeps_its_fix():
    reason = Reason("refused", "start it", Repair("start", "db")).within("port open")
    assert reason == Reason("port open: refused", "start it", Repair("start", "db"))
    assert NONE.within("port open") == Reason("port open")
    assert not NONE
