"""What the doctor makes of the containers: the one to be mended is named, and all else is its consequence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mika.config import load as config
from mika.doctor import unsupervised
from mika.doctor.check import Check
from mika.doctor.checks import docker as docker_checks
from mika.doctor.examination import Examination
from mika.project.folder import ProjectDir

DONE = {"state": "exited", "phase": "exited", "container": "exited", "detail": "done (exit code 0)"}
REMOVED = "its container was removed by somebody (`docker compose down`?): `mika up` makes anew what is missing"


def examination(folder: Path, **environ: str) -> Examination:
    settings = config.load(folder, environ={"MIKA_BACKEND": "docker", **environ})
    return Examination(settings, ProjectDir(settings.project))


def stopped(name: str) -> dict[str, str]:
    return {"state": "exited", "phase": "stopped", "container": "exited", "detail": f"`mika start {name}` starts it"}


def judge(folder: Path, monkeypatch: pytest.MonkeyPatch, asked: str = "", **units: Any) -> tuple[Check, Check | None]:
    """The check, and the `skip` of the check `asked`; services that are not named are ready."""
    names = ("mongodb", "postgresql", "temporal", "temporal-setup", "temporal-ui")
    states = {name: {"state": "ready", "detail": "well"} for name in names} | {"temporal-setup": DONE}
    states |= {name.replace("_", "-"): state for name, state in units.items()}
    known = {"kind": "container", "container": "running", "address": ""}
    services = [{**known, "name": name, "phase": state["state"], **state} for name, state in states.items()]

    async def status(_: Examination) -> dict[str, Any]:
        return {"services": services, "processes": []}

    monkeypatch.setattr(Examination, "status", status)

    async def main() -> tuple[Check, Check | None]:
        x = examination(folder)
        try:
            found = await docker_checks.docker(x)
            return found, await docker_checks.because_of_docker(x, asked, "seen") if asked else None
        finally:
            await x.close()

    return asyncio.run(main())


UNWELL = {"state": "unhealthy", "detail": "no answer"}


@pytest.mark.parametrize(
    ("units", "status", "finding", "fix"),
    [
        ({}, "ok", "4 containers run", ""),
        (
            {"postgresql": stopped("postgresql"), "temporal": UNWELL, "temporal_ui": UNWELL},
            "fail",
            "postgresql was stopped",
            "`mika start postgresql`",
        ),
        (
            {"mongodb": stopped("mongodb"), "postgresql": stopped("postgresql")},
            "fail",
            "mongodb, postgresql were stopped",
            "`mika start mongodb postgresql`",
        ),
        ({"temporal_ui": stopped("temporal-ui")}, "warn", "temporal-ui was stopped", "`mika start temporal-ui`"),
        (
            {
                "postgresql": {
                    "state": "unhealthy",
                    "detail": "its container is paused: `docker unpause x-1` lets it go",
                }
            },
            "fail",
            "postgresql: its container is paused",
            "`docker unpause x-1` lets it go",
        ),
        (
            {name: {"state": "unhealthy", "detail": REMOVED} for name in ("mongodb", "postgresql", "temporal")},
            "fail",
            "mongodb, postgresql, temporal: its container was removed by somebody (`docker compose down`?)",
            "`mika up` makes anew what is missing",
        ),
        (
            {
                "temporal_setup": {
                    "state": "exited",
                    "phase": "gave_up",
                    "detail": "exit code 1: or delete it: `mika down --volumes`",
                }
            },
            "fail",
            "temporal-setup: gave up: exit code 1: or delete it: `mika down --volumes`",
            "`mika logs temporal-setup` says more; mend it, then `mika restart temporal-setup`",
        ),
        (
            {"temporal": {"state": "starting", "detail": "NOT_SERVING"}},
            "fail",
            "temporal is starting: NOT_SERVING",
            "wait for it: `mika wait`; where that is in vain, `mika logs temporal` says why",
        ),
        ({"temporal": UNWELL}, "fail", "temporal: no answer", "`mika restart temporal`; `mika logs temporal` says why"),
        (
            {
                "mongodb": stopped("mongodb"),
                "temporal": {
                    "state": "unhealthy",
                    "container": "unknown",
                    "detail": "the Docker engine does not answer (it hangs)",
                },
            },
            "fail",
            "the Docker engine does not answer (it hangs)",
            "start Docker (Desktop): the stack then goes on by itself",
        ),
    ],
)
def test_the_first_cause_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: dict[str, Any], status: str, finding: str, fix: str
) -> None:
    found, _ = judge(tmp_path, monkeypatch, **units)
    assert (found.status, found.finding, found.fix) == (status, finding, fix)


@pytest.mark.parametrize(
    ("name", "consequences"),
    [
        ("mongodb", {"history"}),
        ("postgresql", {"temporal", "worker", "ui"}),
        ("temporal", {"temporal", "worker", "ui"}),
        ("temporal-ui", {"ui"}),
    ],
)
def test_only_what_needs_it_is_a_consequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, consequences: set[str]
) -> None:
    units = {name.replace("-", "_"): stopped(name)}
    asked = ("history", "temporal", "worker", "ui")
    skips = {check_id: judge(tmp_path, monkeypatch, check_id, **units)[1] for check_id in asked}
    assert {check_id for check_id, skip in skips.items() if skip} == consequences
    assert {skip.because for skip in skips.values() if skip} == {"docker"}


# --- without a supervisor ---------------------------------------------------------------------------------------------


def of_engine(folder: Path, **environ: str) -> Check:
    async def main() -> Check:
        x = examination(folder, **environ)
        try:
            return await docker_checks.docker(x)
        finally:
            await x.close()

    return asyncio.run(main())


def test_the_engine_that_dotenv_names_is_asked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOCKER_HOST=tcp://127.0.0.1:1\n", encoding="utf-8")
    found = of_engine(tmp_path)
    assert found.finding == "no Docker engine answers at tcp://127.0.0.1:1"
    assert found.fix == "start Docker (Desktop), then `mika up`"


def test_a_context_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOCKER_CONTEXT=nowhere\n", encoding="utf-8")
    found = of_engine(tmp_path)
    assert (found.status, found.finding) == ("fail", "the docker context 'nowhere' (DOCKER_CONTEXT) does not exist")


@pytest.mark.parametrize(
    ("container", "is_well"),
    [
        (unsupervised.Container("a", "p-a-1", "running", "Up 3 s (healthy)"), True),
        (unsupervised.Container("a", "p-a-1", "running", "Up 3 s (unhealthy)"), False),
        (unsupervised.Container("a", "p-a-1", "exited", "Exited (0) 3 s ago"), False),
        (unsupervised.Container("a", "p-a-1", "exited", "Exited (0) 3 s ago", one_shot=True), True),
        (unsupervised.Container("a", "p-a-1", "exited", "Exited (1) 3 s ago", one_shot=True), False),
        (unsupervised.Container("a", "p-a-1", "paused", "Up 3 s (Paused)"), False),
    ],
)
def test_which_containers_are_well(container: unsupervised.Container, is_well: bool) -> None:
    assert container.is_well is is_well


def test_services_whose_end_is_waited_for() -> None:
    needs = "postgresql:service_started:false,temporal-setup:service_completed_successfully:false"
    assert unsupervised._completed(needs) == ["temporal-setup"]
    assert unsupervised._completed("") == []


def test_no_compose_file(tmp_path: Path) -> None:
    told = unsupervised.compose_error({}, tmp_path)
    assert told is not None
    assert told[0] == f"there is no compose file in {tmp_path}"
