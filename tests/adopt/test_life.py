"""Projects that have never heard of mika, unchanged, from `mika up --yes` to `mika down`.

Each is up, answers and is examined. Its worker is killed in one project for each tree of processes (one program, what
`go run` starts, part of a web app), and edited in one for each layout of the sources. Whether an edit concerns it at
all is read from the imports of each.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from mika.backends.choice import choose
from mika.config.load import load
from mika.detect import written
from mika.detect.imports import ImportGraph
from mika.project.folder import ProjectDir
from mika.replay.check import spec_of
from mika.stack import checking
from temporalio.client import Client

from tests.adopt.conftest import PROJECTS, git
from tests.kit import gomodule
from tests.kit.bot_processes import TemporalServer
from tests.kit.machine import only_if_required, require_or_skip, takes_long
from tests.kit.project import FOREIGN, Project

_ANSWER_S = 30.0
_BUILD_S = 480  # a machine that has never built the SDK for Go compiles it, beside other tests


OF_THE_BOT = (
    "mika-bot-task-queue",
    "mika send",
    "\nok    history",
    "\n-     history",
    "llm",
    "timeouts",
    "in the Procfile",
)
"""What doctor must not say of a project that is not the demo bot, and has no Procfile."""


@dataclass(frozen=True)
class Life:
    """`jobs` are workflows of the project: its type, its task queue, and what it answers to "one"."""

    project: str
    jobs: tuple[tuple[str, str, str], ...]
    edited: str
    """A source file of `worker`."""
    worker: str = "worker"
    processes: tuple[str, ...] = ("web", "worker")
    environment: str = ".venv"
    post: tuple[str, dict[str, str]] | None = None
    """A path of its own web app that starts a workflow, and the answer."""
    is_killed: bool = False
    is_edited: bool = False
    has_own_server: bool = False
    """Else it uses one that is shared, as `MIKA_BACKEND=external` says."""


LIVES = (
    Life(
        "bot-compose",
        (("Reply", "bot-messages", "one"),),
        "bot/jobs.py",
        post=("/messages?text=hello", {"reply": "hello"}),
        is_killed=True,
        has_own_server=True,
    ),
    Life(
        "greeter-go",
        (("Greet", "greetings", "Hello, one"),),
        "worker/main.go",
        processes=("worker",),
        is_killed=True,
        is_edited=True,
        has_own_server=True,
    ),
    Life(
        "mailer-poetry",
        (("Mail", "mails", "sent to one"),),
        "src/mailer/activities.py",
        environment="poetry",
        is_edited=True,
    ),
    Life(
        "media-two-queues",
        (("Encode", "encoding", "encoded one"), ("Publish", "publishing", "published one")),
        "flows.py",
        processes=("worker",),
        environment="venv",
    ),
    Life(
        "notes-lifespan",
        (("Note", "notes", "noted one"),),
        "tasks.py",
        "web",
        processes=("web",),
        environment="venv",
        post=("/notes?text=this", {"note": "noted this"}),
        is_killed=True,
        is_edited=True,
    ),
    Life(
        "orders-uv",
        (("OrderWorkflow", "orders", "charged one"),),
        "app/workflows.py",
        post=("/orders/seven", {"result": "charged seven"}),
    ),
    Life(
        "reports-django",
        (("ReportWorkflow", "reports", "stored one"),),
        "reports/workflows.py",
        environment="env",
        is_edited=True,
    ),
    Life(
        "shop-workspace",
        (("Billing", "billing-queue", "billing of one"), ("Shipping", "shipping-queue", "shipping of one")),
        "services/billing/jobs.py",
        "billing",
        processes=("billing", "shipping"),
    ),
    Life("wrapped-asgi", (("Greet", "greetings", "Hello, one"),), "backend/flows.py", "web", processes=("web",)),
)


@pytest.fixture(scope="session")
def _shared_temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    with TemporalServer(tmp_path_factory.mktemp("temporal"), in_memory=True) as server:
        yield server


@takes_long
@pytest.mark.parametrize("life", [life for life in LIVES if not life.has_own_server], ids=lambda life: life.project)
def test_a_project_lives_and_stays_as_it_was(life, adopted: Callable[..., Project], _shared_temporal: TemporalServer):  # noqa: PT019
    this = adopted(life.project, life.environment)
    this.backend, this.ports["TEMPORAL_PORT"] = "external", _shared_temporal.port
    lives(this, life)


@takes_long
@pytest.mark.timeout(_BUILD_S + 120)
@pytest.mark.parametrize("life", [life for life in LIVES if life.has_own_server], ids=lambda life: life.project)
def test_a_project_lives_with_a_server_of_its_own(life, adopted: Callable[..., Project]):
    this = adopted(life.project, life.environment)
    if life.project.endswith("-go"):
        build_go(this.folder)
        this.env.update(gomodule.ENVIRONMENT)
    lives(this, life)


def lives(this: Project, life: Life) -> None:
    up = this.up("--yes", *(["--watch"] if life.is_edited else []))
    found = this.status()
    states = {process["name"]: process["state"] for process in found["processes"]}
    assert states.pop("migrate", "exited") == "exited"
    assert states == dict.fromkeys(life.processes, "ready"), up.text
    assert found["backend"] == ("embedded" if life.has_own_server else "external")
    answers(this, life)
    if life.post is not None:
        path, answer = life.post
        url = f"http://127.0.0.1:{this.ports['API_PORT']}{path}"
        assert httpx.post(url, timeout=_ANSWER_S, trust_env=False).json() == answer
    assert "already up" in this.up().text
    doctor = this.ok("doctor")
    assert "fail" not in {line.partition(" ")[0] for line in doctor.out.splitlines()}, doctor.out
    assert not [words for words in OF_THE_BOT if words in doctor.out], doctor.out
    if life.is_killed:
        pid = this.pid(life.worker)
        psutil.Process(pid).kill()
        this.wait_replaced(life.worker, pid)
        answers(this, life)
    if life.is_edited:
        pid = this.pid(life.worker)
        edited = this.folder / life.edited
        edited.write_bytes(edited.read_bytes() + b"\n")
        this.wait_replaced(life.worker, pid)
        answers(this, life)
    this.ok("down")
    assert git(this, "status", "--porcelain") == (f" M {life.edited}\n" if life.is_edited else "")


def answers(this: Project, life: Life) -> None:
    async def start() -> None:
        client = await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}")
        for kind, queue, answer in life.jobs:
            async with asyncio.timeout(_ANSWER_S):
                name = f"{kind}-{os.urandom(4).hex()}"
                assert await client.execute_workflow(kind, "one", id=name, task_queue=queue) == answer

    asyncio.run(start())


def build_go(folder: Path) -> None:
    """Fill Go's caches, so that the start of the worker needs no network and a moment only.

    Its `go.mod` has the versions of Temporal's server, so what `tests/kit/temporal_programs.py` has compiled is there.
    """
    only_if_required("go")
    if shutil.which("go") is None:
        require_or_skip("go", "there is no `go` on PATH")
    command = ["go", "build", "-o", os.devnull, "./..."]
    env = {**os.environ, **gomodule.ENVIRONMENT}
    built = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    if built.returncode:
        require_or_skip("go", f"the SDK of Temporal for Go is not here: {built.stderr.strip()[-200:]}")


@takes_long
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.project)
def test_a_save_concerns_the_worker_and_temporal_is_started(life, tmp_path, monkeypatch):
    """What is decided of each project without a process."""
    for variable in [variable for variable in os.environ if variable.startswith(FOREIGN)]:
        monkeypatch.delenv(variable)
    folder = tmp_path / life.project
    shutil.copytree(PROJECTS / life.project, folder)
    config, place = load(folder), ProjectDir(folder)
    proposal = written.proposed(config)
    assert choose(written.configured(proposal, config), place, written.entries(proposal))[0] in ("embedded", "docker")
    (program,) = checking.programs(config, place, (life.worker,))
    if life.edited.endswith(".py"):
        spec = spec_of(program.unit)
        assert spec is not None
        reach = ImportGraph(folder).reach(spec.command, spec.cwd, spec.env)
        assert reach is not None or life.is_edited, (
            "a worker whose imports cannot be read (so all concern it) is edited"
        )
        assert reach is None or folder / life.edited in reach
