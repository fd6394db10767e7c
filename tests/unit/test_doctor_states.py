"""For every state that a unit can be in, the doctor names the unit and gives a command that works as it stands."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from google.protobuf.duration_pb2 import Duration
from mika.cli.doctor import render
from mika.cli.main import cli
from mika.config import load as config
from mika.diagnosis.model import Poller, Surroundings
from mika.doctor import run
from mika.doctor.check import Check, Report
from mika.doctor.examination import Examination
from mika.doctor.server import Server
from mika.errors import MikaError
from mika.machine.http import Answer
from mika.machine.ports import Listener
from mika.project.folder import ProjectDir, RunState
from mika.quoting import kill_command
from mika.reason import Reason, Repair
from mika.status import LastExit, Phase, StackState, StackStatus, UnitStatus

from tests.kit.project import bots_rules

QUEUE = "mika-bot-task-queue"
PROCFILE = "api: serve\nworker: work\nweb: other\n"
SERVICES = {
    "embedded": ("temporal", "temporal-ui"),
    "docker": ("mongodb", "postgresql", "temporal-setup", "temporal", "temporal-ui"),
    "external": ("temporal",),
    "none": (),
}
RULES = {"api": "http://127.0.0.1:8000/healthz", "worker": f"worker:{QUEUE}"}
PROCESSES = ("api", "worker.1", "worker.2", "web")
WATCHED = {("embedded", "temporal-ui"), ("external", "temporal")}
"""Units that the supervisor does not run itself: no command starts or stops them."""
PHASES = [phase for phase in Phase if phase is not Phase.READY]
CASES = [
    (backend, name, phase)
    for backend, services in SERVICES.items()
    for name in (*services, *PROCESSES)
    for phase in PHASES
    if (backend, name) not in WATCHED or phase in (Phase.STARTING, Phase.UNHEALTHY)
]
"""Reasons as the supervisor gives them, by phase."""
REASONS = {
    Phase.WAITING: Reason("waiting for temporal"),
    Phase.STARTING: Reason("connect: refused"),
    Phase.UNHEALTHY: Reason("no answer"),
    Phase.BACKOFF: Reason("exit code 3: boom"),
    Phase.STOPPED: Reason("stopped", "`mika start it`"),
    Phase.EXITED: Reason("exit code 3"),
    Phase.GAVE_UP: Reason("failed 8 times in a row: exit code 3"),
}
KINDS: dict[str, Any] = {"docker": "container", "external": "external"}


def unit(backend: str, name: str, phase: Phase = Phase.READY, **more: Any) -> UnitStatus:
    role: Any = "process" if name in PROCESSES else "service"
    running = phase in (Phase.STARTING, Phase.READY, Phase.UNHEALTHY, Phase.STOPPING)
    exited = phase in (Phase.EXITED, Phase.BACKOFF, Phase.GAVE_UP)
    values: dict[str, Any] = {
        "type": name.split(".", 1)[0],
        "address": RULES.get(name.split(".", 1)[0], ""),
        "kind": KINDS.get(backend, "process") if role == "service" else "process",
        "reason": REASONS.get(phase, Reason("well")),
        "required": name != "temporal-ui",
        "pid": 4321 if running and role == "process" else None,
        "uptime_s": 900.0 if running else None,
        "last_exit": LastExit(3, Reason("exit code 3"), 1.0) if exited else None,
    }
    return UnitStatus(name=name, role=role, phase=phase, **{**values, **more})


class Temporal:
    """A server where nothing waits."""

    async def queue_state(self, *_: object) -> Any:
        return SimpleNamespace(
            stats=SimpleNamespace(approximate_backlog_count=0, approximate_backlog_age=Duration()), pollers=[]
        )

    async def workflows(self, *_: object) -> list[Any]:
        return []

    async def heartbeating_queues(self) -> set[str]:
        return set()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Everything answers as it should; a test may replace an answer."""
    (tmp_path / "Procfile").write_text(PROCFILE, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(bots_rules(PROCFILE), encoding="utf-8")
    polling = Poller("worker.1@x", "default", QUEUE, 0.1, workflows=True, activities=True)
    facts = SimpleNamespace(
        folder=tmp_path,
        status=None,
        server=Server("up", "127.0.0.1:7233", "SERVING at 127.0.0.1:7233", "1.29.0", Temporal()),  # type: ignore[arg-type]
        surroundings=Surroundings(queue=QUEUE, pollers=(polling,)),
        health=Answer("http", 200, body=b'{"status": "ok"}'),
        listeners={},
    )

    def replace(name: str, fact: str) -> None:
        async def answer(*_: object) -> Any:
            return getattr(facts, fact)

        monkeypatch.setattr(Examination, name, answer)

    for name, fact in {
        "_supervisor": "status",
        "_server": "server",
        "surroundings": "surroundings",
        "health": "health",
        "ui": "health",
        "listeners": "listeners",
    }.items():
        replace(name, fact)

    async def none(*_: object) -> None:
        return None

    async def nothing(*_: object) -> dict[str, Any]:
        return {}

    async def yes(*_: object) -> bool:
        return True

    monkeypatch.setattr(Examination, "_namespace_error", none)
    monkeypatch.setattr(Examination, "_is_bot", yes)
    monkeypatch.setattr(Examination, "dependency", nothing)
    database = tmp_path / ".mika" / "data" / "temporal.db"
    database.parent.mkdir(parents=True)
    database.touch()
    return facts


def examine(world: SimpleNamespace, backend: str, *units: UnitStatus, state: StackState = "degraded") -> Report:
    """The report about a stack in which all units are ready, but those given."""
    others = {name: unit(backend, name) for name in (*SERVICES[backend], *PROCESSES)}
    if backend == "docker":
        others["temporal-setup"] = unit(
            backend, "temporal-setup", Phase.EXITED, last_exit=LastExit(0, Reason("exit code 0"), 1.0)
        )
    listed = {**others, **{changed.name: changed for changed in units}}.values()
    world.status = StackStatus(
        state=state,
        backend=backend,
        supervisor_pid=1,
        uptime_s=9.0,
        services=tuple(u for u in listed if u.role == "service"),
        processes=tuple(u for u in listed if u.role == "process"),
    )
    return report(world, backend)


def report(world: SimpleNamespace, backend: str, **environ: str) -> Report:
    settings = config.load(world.folder, environ={"MIKA_BACKEND": backend, **environ})
    return asyncio.run(run.examine(settings, ProjectDir(settings.project)))


def check_of(result: Report, check_id: str) -> Check:
    return next(check for check in result.checks if check.id == check_id)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", SERVICES)
def test_a_stack_that_is_well_has_nothing_to_fix(world, backend):
    result = examine(world, backend, state="ready")
    assert result.ids("fail") == result.ids("warn") == [], render(result)
    assert render(result).endswith("nothing to fix")
    assert check_of(result, "config").finding.startswith("1 setting of your own, ")


@pytest.mark.parametrize(("backend", "name", "phase"), CASES)
def test_every_state_has_a_finding_and_a_fix(world, backend, name, phase):
    result = examine(world, backend, unit(backend, name, phase))
    shown = render(result)
    if (backend, name) == ("embedded", "temporal-ui"):  # only watched, and the UI itself answers
        assert result.ok
        return
    failed = [check for check in result.checks if check.status in ("fail", "warn")]
    assert len(failed) == 1, shown
    assert failed[0].status == ("warn" if name == "temporal-ui" else "fail"), shown
    assert name in failed[0].finding, shown
    assert result.ok or "nothing to fix" not in shown
    assert_works(failed[0], backend)


def assert_works(check: Check, backend: str) -> None:
    """Every command in the fix can be pasted as it stands, and the units that it names exist."""
    commands = re.findall(r"`(mika [^`]+)`", check.fix)
    assert commands or backend == "external", f"no command in {check.fix!r}"
    for command in commands:
        verb, *words = shlex.split(command)[1:]
        context = click.Context(cli)
        parsed = cli.get_command(context, verb)
        assert parsed is not None, f"`{command}`: no such command"
        parsed.make_context(verb, list(words), parent=context)
        units = {*SERVICES[backend], *PROCESSES, "worker"} - {name for b, name in WATCHED if b == backend}
        if verb in ("start", "stop", "restart", "logs"):
            assert {word for word in words if not word.startswith("-")} <= units, f"`{command}`: no such unit"


# --- advice that fits the state ---------------------------------------------------------------------------------------


def test_a_database_that_was_deleted_under_its_server_is_told(world):
    """`rm .mika/data/temporal.db*`: the server goes on with the open file, and says nothing."""
    (world.folder / ".mika" / "data" / "temporal.db").unlink()
    check = check_of(examine(world, "embedded", state="ready"), "temporal")
    assert check.status == "warn"
    assert "temporal.db was deleted while the server runs" in check.finding
    assert_works(check, "embedded")


def test_a_stopped_server_is_started(world):
    world.server = Server("refused", "127.0.0.1:7233", "nothing listens there")
    result = examine(world, "embedded", unit("embedded", "temporal", Phase.STOPPED))
    assert result.ids("fail") == ["temporal"]
    temporal = check_of(result, "temporal")
    assert (temporal.finding, temporal.fix) == ("temporal was stopped", "`mika start temporal`")
    assert temporal.repair == Repair("start", "temporal")
    assert check_of(result, "worker").because == "temporal"


def test_what_waits_for_another_unit_is_a_consequence(world):
    world.server = Server("refused", "127.0.0.1:7233", "nothing listens there")
    world.health = Answer("refused", reason="connection refused")
    waiting = [unit("embedded", name, Phase.WAITING) for name in ("api", "worker.1", "worker.2")]
    result = examine(world, "embedded", unit("embedded", "temporal", Phase.STARTING), *waiting)
    assert result.ids("fail") == ["temporal"], render(result)
    assert {check_of(result, name).because for name in ("api", "worker")} == {"temporal"}
    assert "`mika wait`" in check_of(result, "temporal").fix


def test_a_worker_after_the_start_of_its_server_reconnects(world):
    """It is alive and well, and the server has not heard of it yet."""
    world.surroundings = Surroundings(queue=QUEUE, pollers=())
    result = examine(world, "embedded", unit("embedded", "temporal", uptime_s=2.0))
    worker = check_of(result, "worker")
    assert worker.finding == "worker.1 is reconnecting: Temporal was started 2.0 s ago"
    assert worker.fix.startswith("wait some seconds")
    assert worker.repair is None, "--fix does not disturb it"
    younger = [unit("embedded", f"worker.{number}", uptime_s=1.5) for number in (1, 2)]
    polled = examine(world, "embedded", unit("embedded", "temporal", uptime_s=2.0), *younger)
    assert check_of(polled, "worker").finding == f"worker.1 runs, but does not poll {QUEUE}", "it was ready since then"
    later = check_of(examine(world, "embedded"), "worker")
    assert later.finding == f"worker.1 runs, but does not poll {QUEUE}"
    assert later.repair == Repair("restart", "worker.1")


def test_the_units_own_fix_counts_more(world):
    own = Reason("its container was removed", "`mika up` recreates it", Repair("up"))
    docker = check_of(examine(world, "docker", unit("docker", "temporal", Phase.UNHEALTHY, reason=own)), "docker")
    assert (docker.fix, docker.repair) == (own.fix, own.repair)
    gave_up = unit("embedded", "web", Phase.GAVE_UP, reason=Reason("no such module", "`uv sync`"))
    stack = check_of(examine(world, "embedded", gave_up), "stack")
    assert (stack.fix, stack.repair) == ("`uv sync`; then `mika restart web`", Repair("restart", "web"))


@pytest.mark.parametrize("phase", [Phase.READY, Phase.STARTING])
@pytest.mark.parametrize(("name", "check_id"), [("web", "stack"), ("worker.1", "worker"), ("api", "api")])
def test_one_that_is_ready_between_two_failures_keeps_exiting(world, name, check_id, phase):
    failing = Reason("failed 7 times in a row: killed by SIGKILL", f"`mika logs {name}` may say why; fix that")
    check = check_of(
        examine(world, "embedded", unit("embedded", name, phase, failing=failing), state="ready"), check_id
    )
    assert (check.status, check.finding) == ("fail", f"{name} keeps exiting: {failing.text}")
    assert check.fix == f"{failing.fix}; it is started again by itself"


def test_something_that_has_run_once_is_well(world):
    done = unit("none", "web", Phase.EXITED, last_exit=LastExit(0, Reason("exit code 0"), 1.0))
    assert examine(world, "none", done).ok


def test_other_processes_than_those_of_the_procfile_are_told(world):
    (world.folder / "Procfile").write_text(PROCFILE + "mailer: python mailer.py\n", encoding="utf-8")
    check = check_of(examine(world, "none", state="ready"), "stack")
    assert check.status == "ok"
    assert "; without mailer of the Procfile: `mika down`, then" in check.finding
    (world.folder / "Procfile").write_text("api: serve\n", encoding="utf-8")
    check = check_of(examine(world, "none", state="ready"), "stack")
    assert check.status == "warn"
    assert check.finding.endswith("; with web, worker, which the Procfile no longer has")


def test_a_stack_that_is_stopping_says_so(world):
    result = examine(world, "embedded", unit("embedded", "web", Phase.STOPPING), state="stopping")
    assert check_of(result, "stack").finding == "the stack is stopping"


def test_a_supervisor_that_does_not_answer_is_the_cause(world):
    world.status = MikaError("the supervisor (pid 7) does not answer", "kill its process (`kill 7`)")
    world.server = Server("refused", "127.0.0.1:7233", "nothing listens there")
    world.health = Answer("refused", reason="connection refused")
    result = report(world, "embedded")
    assert result.ids("fail") == ["stack"], render(result)
    assert check_of(result, "temporal").because == check_of(result, "api").because == "stack"


def test_a_worker_that_no_rule_names_is_found_where_it_polls(world, monkeypatch):
    (world.folder / "pyproject.toml").unlink()
    monkeypatch.setitem(RULES, "api", "")
    monkeypatch.setitem(RULES, "worker", "")
    worker = check_of(examine(world, "embedded", state="ready"), "worker")
    assert (worker.status, worker.because) == ("skip", "")
    assert "no task queue is known" in worker.finding

    async def jobs(_: Temporal) -> set[str]:
        return {"jobs"}

    monkeypatch.setattr(Temporal, "heartbeating_queues", jobs)
    poller = Poller("7@vm", "default", "jobs", 0.1, workflows=True, activities=True, process="web")
    world.surroundings = Surroundings(pollers=(poller,))
    result = examine(world, "embedded", state="ready")
    assert check_of(result, "worker").finding == "web (7@vm) polls jobs, last seen 0.1 s ago"
    assert check_of(result, "queue").finding == "jobs: nothing waits"
    assert result.ok


def test_a_project_that_never_ran_may_need_no_temporal(world):
    world.server = Server("refused", "127.0.0.1:7233", "nothing listens there")
    result = report(world, "auto")
    assert result.ids("fail") == ["temporal"], "a worker needs it"
    (world.folder / "pyproject.toml").unlink()
    result = report(world, "auto")
    assert result.ids("fail") == result.ids("warn") == [], render(result)
    assert (check_of(result, "temporal").status, check_of(result, "queue").status) == ("skip", "skip")


def test_each_of_several_queues_has_a_line(world, monkeypatch):
    """They are named by the processes, whatever these are called; one that waits for tasks of one type is well."""
    monkeypatch.setitem(RULES, "web", "worker:mail/activity")
    mail = Poller("8@vm", "default", "mail", 0.1, workflows=False, activities=True, process="web")
    world.surroundings = Surroundings(pollers=(*world.surroundings.pollers, mail))
    lines = [check for check in examine(world, "embedded", state="ready").checks if check.id == "worker"]
    assert [check.finding.partition(",")[0] for check in lines] == [
        f"worker.1@x polls {QUEUE}",
        "web (8@vm) polls mail",
    ]
    monkeypatch.setitem(RULES, "web", "worker:mail/activity, worker:post")
    lines = [check for check in examine(world, "embedded", state="ready").checks if check.id == "worker"]
    assert lines[-1].finding == "web runs, but does not poll post", "of its two queues"
    stopped = examine(world, "embedded", unit("embedded", "web", Phase.STOPPED))
    failed = [check for check in stopped.checks if check.status == "fail"]
    assert [(check.id, check.finding, check.fix) for check in failed] == [
        ("worker", "web was stopped", "`mika start web`")
    ]


# --- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("health", [Answer("http", 501), Answer("foreign", reason="x"), Answer("silent")])
def test_a_foreign_program_on_the_port_of_the_api(world, health):
    world.health = health
    world.listeners = {8000: Listener(8000, 77, "nginx", cwd=Path("/elsewhere"))}
    result = report(world, "embedded")
    ports = check_of(result, "ports")
    assert "port 8000 (API_PORT) is taken by nginx (pid 77)" in ports.finding
    assert f"stop it (`{kill_command(77)}`)" in ports.fix
    assert (check_of(result, "api").status, check_of(result, "api").because) == ("skip", "ports")


def test_another_projects_api_is_not_taken_for_ours(world):
    world.listeners = {8000: Listener(8000, 77, "python", cwd=Path("/elsewhere"), stack=Path("/elsewhere"))}
    api = check_of(report(world, "embedded"), "api")
    assert "is not this project's api: it runs in /elsewhere" in api.finding
    assert api.fix.startswith("`mika -C /elsewhere down`")


def test_a_model_that_cannot_be_reached_is_named_with_its_port(world, monkeypatch):
    """A TCP connection costs nothing."""
    llm = check_of(report(world, "embedded", LLM_BASE_URL="http://127.0.0.1:1/v1", LLM_MODEL="m"), "llm")
    assert (llm.status, llm.finding) == ("fail", "127.0.0.1:1 cannot be reached: connection refused")
    monkeypatch.setenv("https_proxy", "http://me:pw@127.0.0.1:1")
    llm = check_of(report(world, "embedded", LLM_BASE_URL="https://llm.example/v1", LLM_MODEL="m"), "llm")
    assert llm.finding.startswith("llm.example:443 cannot be reached (through the proxy http://127.0.0.1:1)")
    assert "https_proxy" in llm.fix


def test_without_a_stack_the_run_that_was_killed_is_swept(world):
    folder = ProjectDir(world.folder)
    folder.create()
    folder.write_state(RunState(1, "a" * 16, "x", "k", 0.0, "embedded"))
    stack = check_of(report(world, "embedded"), "stack")
    assert (stack.status, stack.fix, stack.repair) == ("warn", "`mika down`", Repair("sweep"))
