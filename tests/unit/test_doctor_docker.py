"""What the doctor says about containers: the one to fix is named, and all else is a consequence of it."""

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
from mika.reason import Reason, Repair
from mika.status import LastExit, Phase, StackStatus, UnitStatus

DONE: dict[str, Any] = {
    "phase": Phase.EXITED,
    "container": "exited",
    "last_exit": LastExit(0, Reason("exit code 0"), 1.0),
}
REMOVED = Reason(
    "its container was removed by somebody (`docker compose down`?)",
    "`mika up` recreates what is missing",
    Repair("up"),
)


def examination(folder: Path, **environ: str) -> Examination:
    settings = config.load(folder, environ={"MIKA_BACKEND": "docker", **environ})
    return Examination(settings, ProjectDir(settings.project))


def stopped(name: str) -> dict[str, Any]:
    return {"phase": Phase.STOPPED, "container": "exited", "reason": Reason("stopped", f"`mika start {name}`")}


def unhealthy(text: str, fix: str = "", repair: Repair | None = None, **more: Any) -> dict[str, Any]:
    return {"phase": Phase.UNHEALTHY, "reason": Reason(text, fix, repair), **more}


def judge(folder: Path, monkeypatch: pytest.MonkeyPatch, asked: str = "", **units: Any) -> tuple[Check, Check | None]:
    """The check, and the `skip` of the check `asked`; services that are not named are ready."""
    names = ("mongodb", "postgresql", "temporal", "temporal-setup", "temporal-ui")
    units = {name.replace("_", "-"): unit for name, unit in units.items()}
    well = {"phase": Phase.READY, "reason": Reason("well"), "container": "running"}
    services = [
        UnitStatus(
            name=name,
            type=name,
            role="service",
            kind="container",
            **{"container": "running", **units.get(name, DONE if name == "temporal-setup" else well)},
        )
        for name in names
    ]

    async def supervisor(_: Examination) -> StackStatus:
        return StackStatus(state="degraded", backend="docker", supervisor_pid=1, uptime_s=1.0, services=tuple(services))

    monkeypatch.setattr(Examination, "_supervisor", supervisor)

    async def main() -> tuple[Check, Check | None]:
        async with examination(folder) as exam:
            check = await docker_checks.docker(exam)
            return check, await docker_checks.because_of_docker(exam, asked, "text") if asked else None

    return asyncio.run(main())


UNWELL = unhealthy("no answer")


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
            {"postgresql": unhealthy("its container is paused", "`docker unpause x-1` lets it go", container="paused")},
            "fail",
            "postgresql is unhealthy: its container is paused",
            "`docker unpause x-1` lets it go",
        ),
        (
            {name: {"phase": Phase.UNHEALTHY, "reason": REMOVED} for name in ("mongodb", "postgresql", "temporal")},
            "fail",
            "mongodb, postgresql, temporal: its container was removed by somebody (`docker compose down`?)",
            "`mika up` recreates what is missing",
        ),
        (
            {
                "temporal_setup": {
                    "phase": Phase.GAVE_UP,
                    "reason": Reason("exit code 1: the password is refused", "or delete it: `mika down --volumes`"),
                }
            },
            "fail",
            "temporal-setup gave up: exit code 1: the password is refused",
            "or delete it: `mika down --volumes`; then `mika restart temporal-setup`",
        ),
        (
            {"temporal": {"phase": Phase.STARTING, "reason": Reason("NOT_SERVING")}},
            "fail",
            "temporal is starting: NOT_SERVING",
            "wait for it: `mika wait`; if that does not help, `mika logs temporal` may say why",
        ),
        (
            {"temporal": UNWELL},
            "fail",
            "temporal is unhealthy: no answer",
            "`mika restart temporal`; `mika logs temporal` may say why",
        ),
        (
            {
                "mongodb": stopped("mongodb"),
                "temporal": unhealthy("the Docker engine does not answer (it hangs)", container="unknown"),
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
        async with examination(folder, **environ) as exam:
            return await docker_checks.docker(exam)

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
    ("container", "is_ok"),
    [
        (unsupervised.Container("a", "p-a-1", "running", health="healthy"), True),
        (unsupervised.Container("a", "p-a-1", "running", health="starting"), True),
        (unsupervised.Container("a", "p-a-1", "running", health="unhealthy"), False),
        (unsupervised.Container("a", "p-a-1", "exited"), False),
        (unsupervised.Container("a", "p-a-1", "exited", one_shot=True), True),
        (unsupervised.Container("a", "p-a-1", "exited", 1, one_shot=True), False),
        (unsupervised.Container("a", "p-a-1", "paused"), False),
    ],
)
def test_which_containers_are_ok(container: unsupervised.Container, is_ok: bool) -> None:
    assert container.is_ok is is_ok


def test_services_whose_end_is_waited_for() -> None:
    needs = "postgresql:service_started:false,temporal-setup:service_completed_successfully:false"
    assert unsupervised._completed(needs) == ["temporal-setup"]
    assert unsupervised._completed("") == []


def test_no_compose_file(tmp_path: Path) -> None:
    reason = unsupervised.compose_error({}, tmp_path)
    assert reason is not None
    assert reason.text == f"there is no compose file in {tmp_path}"
