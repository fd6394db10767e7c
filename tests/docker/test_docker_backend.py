"""`mika up --backend docker` on a real engine, with the project's own compose file."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from mika.backends.choice import choose
from mika.config.load import load
from mika.project.folder import ProjectDir

from tests.kit.bot import Bot
from tests.kit.docker.bot import IDLE, SERVICES, START_S, DockerBot
from tests.kit.machine import ROOT, poll_until

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]


# --- one stack for several tests --------------------------------------------------------------------------------------

SHOW = b"show: python -c \"import os, time; print(os.environ['MONGODB_URL'], flush=True); time.sleep(600)\"\n"


@pytest.fixture(scope="module")
def _shared_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBot]:
    """A stack that nobody has started yet."""
    procfile = (ROOT / "Procfile").read_bytes() + SHOW
    env = {"MONGO_PASSWORD": "p@ss/word"}
    with DockerBot(tmp_path_factory.mktemp("running"), procfile=procfile, env=env) as bot:
        yield bot


@pytest.fixture
def bot_up(_shared_running: DockerBot) -> DockerBot:
    """The stack with all of its processes, as it is left by the first test."""
    _shared_running.up()
    return _shared_running


@pytest.fixture
def bot(_shared_running: DockerBot) -> DockerBot:
    """The stack with its services up and ready, and of the processes `show` alone; a test may take it down."""
    _shared_running.up("show")
    _shared_running.wait_ready(START_S)
    return _shared_running


@pytest.fixture
def bot_down(_shared_running: DockerBot) -> DockerBot:
    """The same stack when it is down."""
    _shared_running.ok("down", "--all")
    return _shared_running


def test_cold_start_and_history(bot_down):
    """The first test of this stack, whose databases are empty. The last one deletes them."""
    bot = bot_down
    up = bot.up()
    found = bot.status()
    assert (found["backend"], found["state"]) == ("docker", "ready"), str(up)
    services = {service["name"]: service for service in found["services"]}
    assert {name: services[name]["state"] for name in SERVICES} == dict.fromkeys(SERVICES, "ready")
    assert {service["kind"] for service in services.values()} == {"container"}
    assert services["temporal"]["address"] == f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}"
    assert services["temporal-setup"]["last_exit"]["code"] == 0
    assert bot.unit("worker")["last_exit"] is None, "it waits for its namespace"
    address = f"mongodb://mika:p%40ss%2Fword@127.0.0.1:{bot.ports['MONGO_PORT']}/"
    assert address in bot.log("show"), "processes get the address of the database in the container"
    for service in SERVICES:
        container = bot.container(service)
        check = container.attrs["Config"]["Healthcheck"]["Test"][1:]
        assert container.exec_run(check).exit_code == 0, f"the health check of {service}"
    assert "remember: 0" in bot.ok("send", "hello").out
    bot.ok("send", "hello again")

    bot.ok("down")
    bot.assert_gone()
    assert not bot.containers()
    assert sorted(bot.volumes()) == sorted(f"{bot.name}_{v}" for v in ("mongo-config", "mongo-data", "postgres-data"))

    bot.up()  # which backend it was is remembered, too
    reply = bot.ok("send", "still there?").out
    assert "remember: 2" in reply, "MongoDB's history must survive"
    temporal = bot.ok("workflows", "--json").json
    assert len(temporal["workflows"]) == 3, "Temporal's history in PostgreSQL must survive"


def test_logs_restart_stop_and_start_of_containers(bot_up):
    bot = bot_up
    assert "database temporal is ready" in bot.ok("logs", "temporal-setup").out
    stamped = bot.ok("logs", "temporal-setup", "--timestamps", "--since", "5m").out
    assert all(line[:2] == "20" and "T" in line[:12] for line in stamped.splitlines())
    assert not bot.ok("logs", "temporal-setup", "--since", "2031-01-01T00:00").out

    worker, first = bot.pid("worker"), bot.container("temporal").attrs["State"]["StartedAt"]
    bot.ok("restart", "temporal")
    assert bot.container("temporal").attrs["State"]["StartedAt"] != first
    bot.ok("stop", "temporal-ui")
    assert bot.unit("temporal-ui")["state"] == "exited"
    assert bot.containers()["temporal-ui"] == "exited"
    assert bot.status()["state"] == "ready", "the UI is not needed to be ready"
    bot.ok("start", "temporal-ui")
    assert bot.unit("temporal-ui")["state"] == "ready"
    assert bot.pid("worker") == worker, "a worker reconnects by itself"
    bot.send("hello")
    follower = bot.start_mika("logs", "-f", "mongodb")
    seen = len(follower.output())
    bot.ok("restart", "mongodb")
    poll_until(lambda: len(follower.output()) > seen, 10, "new lines of the container")
    follower.kill()
    bot.ok("down")
    assert bot.ok("logs", "mongodb", "-n", "3").out, "the log outlives the container"


def test_what_a_killed_supervisor_leaves_is_found_again(bot):
    before = {service: bot.container(service).id for service in SERVICES}

    def kill_supervisor():
        os.kill(bot.status()["supervisor"]["pid"], signal.SIGKILL)
        poll_until(lambda: not bot.alive(), 20, "the guards have stopped the processes")
        assert bot.containers(running=True).keys() == set(SERVICES)

    kill_supervisor()
    bot.up("show")
    assert {service: bot.container(service).id for service in SERVICES} == before
    kill_supervisor()
    good = (bot.folder / "docker-compose.yml").read_bytes()
    bot.write("docker-compose.yml", "services: [\n")
    assert "docker-compose.yml" in bot.error("down", code=2).err, "its containers still run"
    bot.write("docker-compose.yml", good)
    bot.ok("down")
    assert not bot.containers(), "they are still its own"


def test_another_folder_with_the_same_ports_or_name(bot, tmp_path):
    running = poll_until(  # nothing waits for the UI
        lambda: (found := bot.containers(running=True)).keys() == set(SERVICES) and found, START_S, "all run"
    )
    with DockerBot(tmp_path) as second:
        port = str(bot.ports["MONGO_PORT"])
        result = second.mika("up", "-d", env={"MONGO_PORT": port}, timeout=START_S)
        assert result.code == 2, str(result)
        assert f"port {port} (MONGO_PORT) is taken by the container {bot.name}-mongodb-1" in result.err
        assert f"of the project '{bot.name}' in {bot.folder}" in result.err
        assert not second.containers()
        result = second.mika("up", "-d", env={"COMPOSE_PROJECT_NAME": bot.name}, timeout=START_S)
        assert result.code == 2, str(result)
        assert f"the compose project '{bot.name}' is in use by {bot.folder}" in result.err
    assert bot.containers(running=True) == running


def test_the_data_of_another_folder_is_safe(bot, tmp_path):
    """Compose names a project by the folder's last part, so two clones share it without knowing."""
    with DockerBot(tmp_path, env={"COMPOSE_PROJECT_NAME": bot.name}) as second:
        (second.folder / ".mika" / "data").mkdir(parents=True)
        second.write(".mika/data/backend", "docker\n")
        for words in (("down", "--all"), ("down", "--volumes", "--yes")):
            result = second.mika(*words, timeout=START_S)
            assert f"the compose project '{bot.name}' is in use by {bot.folder}" in result.err, str(result)
        assert result.code == 2
        assert bot.containers(running=True).keys() == set(SERVICES)
        bot.ok("down")
        question = second.mika("down", "--volumes", timeout=START_S)
        assert question.code == 2, "nobody answered"
        assert f"{bot.name}_mongo-data" in question.err
        second.env["COMPOSE_PROJECT_NAME"] = second.name
    assert len(bot.volumes()) == 3
    with DockerBot(tmp_path, procfile=IDLE, env={"COMPOSE_PROJECT_NAME": bot.name}) as third:
        running = third.start_mika("up")
        running.wait_for(f"using existing volumes of the compose project '{bot.name}'", START_S)
        running.send(signal.SIGINT)
        assert running.wait(60) == 130
        third.env["COMPOSE_PROJECT_NAME"] = third.name


def test_a_stack_started_by_hand_is_adopted_and_left_alone(bot_down):
    """And of one that runs in part, only the rest is started, and stopped."""
    bot = bot_down
    bot.compose("up", "-d")
    before = {service: bot.container(service).id for service in SERVICES}
    log = bot.log("compose")
    bot.up("show")
    assert {service: bot.container(service).id for service in SERVICES} == before
    assert bot.log("compose") == log, "there was nothing for compose to do"
    down = bot.ok("down")
    assert "left running, since mika did not start them" in down.out
    assert bot.containers(running=True).keys() == set(SERVICES)
    assert {service: bot.container(service).id for service in SERVICES} == before

    others = sorted(bot.containers().keys() - {"mongodb"})
    bot.compose("rm", "--stop", "--force", *others)
    bot.up("show")
    assert bot.container("mongodb").id == before["mongodb"]
    bot.ok("down")
    assert bot.containers() == {"mongodb": "running"}
    bot.ok("down", "--all")
    assert not bot.containers()


def test_a_start_that_is_broken_off_leaves_nothing(bot_down):
    bot = bot_down
    state = bot.folder / ".mika/run/state.json"
    for delay in (0.0, 0.1, 0.4):
        running = bot.start_mika("up", "show")
        poll_until(state.exists, START_S, "it has begun", step=0.005)
        time.sleep(delay)
        running.send(signal.SIGINT)
        assert running.wait(30) == 130
        bot.assert_gone()
        assert not bot.containers()
        assert not state.exists()
    running = bot.start_mika("up", "show")
    poll_until(lambda: bot.containers(running=True), START_S, "the first container runs")
    running.send(signal.SIGINT)
    assert running.wait(60) == 130
    bot.assert_gone()
    assert not bot.containers()
    killed = bot.start_mika("up", "show")
    poll_until(lambda: bot.containers(running=True), START_S, "the first container runs")
    killed.kill()
    bot.ok("down")
    assert not bot.containers()


def test_keep_services(tmp_path):
    with DockerBot(tmp_path, procfile=IDLE) as bot:
        bot.light()
        running = bot.start_mika("up", "--keep-services")
        running.wait_for("ready after", START_S)
        running.send(signal.SIGINT)
        assert running.wait(30) == 130
        assert bot.containers() == {"temporal": "running"}
        bot.ok("down")  # mika has started it, so this takes it down
        assert not bot.containers()


DECLARED = """
[temporal]
namespaces = ["orders"]
search_attributes = { CustomerId = "Keyword" }

[schedule.nightly]
workflow = "ProcessMessageWorkflow"
task_queue = "mika-bot-task-queue"
cron = "0 3 * * *"
"""


def test_what_is_declared_is_made_here_too_and_stays(bot_down):
    bot = bot_down
    bot.write("mika.toml", DECLARED)
    for _ in range(2):
        bot.up("show")
        (check,) = [check for check in bot.mika("doctor", "--json").json["checks"] if check["id"] == "declared"]
        assert (check["status"], check["finding"].partition(",")[0]) == ("ok", "1 namespace"), check
        bot.ok("down")
    (bot.folder / "mika.toml").unlink()


def test_the_volumes_are_deleted_on_request(bot):
    """The last test of this stack."""
    bot.ok("down", "--volumes", "--yes")
    assert not bot.containers()
    assert not bot.volumes()


# --- the backend that is chosen ---------------------------------------------------------------------------------------


class TestAuto:
    """The first time docker when all is there; then what the folder used last."""

    def test_docker_when_its_images_are_here(self, tmp_path):
        with DockerBot(tmp_path, procfile=IDLE, backend="auto") as bot:
            bot.light()
            bot.up()
            assert bot.status()["backend"] == "docker"
            bot.ok("down")
            result = bot.mika("up", "-d", env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
            assert result.code == 1, "another backend would hide the history"
            assert "no Docker engine answers at unix:///nonexistent/docker.sock" in result.err

    def test_says_how_much_a_pull_would_bring(self, tmp_path, monkeypatch):
        with DockerBot(tmp_path, procfile=IDLE, backend="auto", env={"MONGO_IMAGE": "mika-test/none:1"}) as bot:
            for name, value in bot.environ().items():
                monkeypatch.setenv(name, value)
            for known, words in (
                ("mika-test/none:1: 300", "pulls them, about 300 MB"),
                ("mika-test/none:1: 1540", "pulls them, about 1.5 GB"),
                ("mika-test/other:1: 300", "pulls them"),
            ):
                bot.override(f"x-download-mb: {{{known}}}\n")
                backend, note = choose(load(bot.folder), ProjectDir(bot.folder), [])
                assert backend == "embedded"
                assert note.endswith(f"`mika up --backend docker` {words}")

    @pytest.mark.parametrize(
        ("env", "words"),
        [
            ({"MONGO_IMAGE": "mika-test/none:1"}, "its images are not here (mika-test/none:1): started embedded"),
            ({"DOCKER_HOST": "unix:///nonexistent/docker.sock"}, "no Docker engine answers"),
            ({}, ""),  # no compose file: nobody would expect Docker
        ],
    )
    def test_embedded_otherwise_and_says_why(self, tmp_path, env, words):
        with DockerBot(tmp_path, procfile=IDLE, backend="auto", env=env) as bot:
            if not words:
                (bot.folder / "docker-compose.yml").unlink()
            up = bot.up()
            assert bot.status()["backend"] == "embedded"
            assert words in up.out
            assert ("started embedded" in up.out) == bool(words)


def test_the_engine_is_not_asked_by_other_backends(tmp_path):
    """DOCKER_HOST leads nowhere, and nobody minds."""
    with Bot(tmp_path, procfile=IDLE, env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"}) as bot:
        bot.up()
        bot.ok("down")
