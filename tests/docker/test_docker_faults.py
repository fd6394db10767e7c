"""Faults put into the running stack, or met by its start: each is named with the right words, soon, and survived.

"Soon" is measured from the moment in which the engine shows it, and has a margin for a machine that is busy.
"""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.docker import engine
from tests.kit.docker.bot import IDLE, IDLER, IMAGE, SERVICES, START_S, DockerBot, pause
from tests.kit.machine import free_port, poll_until, telling

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]
SOON_S = 3.0
MEND_S = 60.0


@pytest.fixture(scope="module")
def _shared_faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBot]:
    with DockerBot(tmp_path_factory.mktemp("faults")) as bot:
        yield bot


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[DockerBot]:
    """A stack of the test's own, for what happens to containers: its process only sleeps."""
    with DockerBot(tmp_path, procfile=IDLE) as bot:
        yield bot


@pytest.fixture
def bot(_shared_faults: DockerBot) -> DockerBot:
    """A stack that is up and ready; a test may leave it broken."""
    try:
        _shared_faults.wait_ready(20)
    except (AssertionError, OSError):
        _shared_faults.mika("down", "--all")
        _shared_faults.up()
    return _shared_faults


def told(bot: DockerBot, since: float, *words: str, name: str = "temporal") -> float:
    """Seconds from `since` to the first event of `name` whose reason or fix has all words. Fails without one soon."""

    def look() -> float | None:
        for kind in ("unhealthy", "exited", "gave_up"):
            for event in bot.events(kind, name):
                if event["at"] >= since - 0.5 and all(
                    word in f"{event['reason']}: {event.get('fix', '')}" for word in words
                ):
                    return float(event["at"]) - since or 0.001
        return None

    with telling(lambda: bot.log("mika")[-3000:]):
        return poll_until(look, SOON_S + 2, f"{name} is reported with {words}") or 0.0


def all_ready(bot: DockerBot) -> None:
    bot.wait_ready(MEND_S)
    poll_until(lambda: all(bot.unit(name)["state"] == "ready" for name in SERVICES), MEND_S, "all services are ready")


def answered(bot: DockerBot, text: str) -> None:
    """The SDK of a worker tries again after seconds when the server was away, so the first message may wait."""
    message = {"message_id": f"{text} {time.time()}"}
    poll_until(lambda: bot.post(text, **message).status_code == 200, MEND_S, f"{text!r} is answered")


class TestWhileItRuns:
    def test_a_killed_container_is_restarted_and_no_worker_pays_for_it(self, bot):
        workers = bot.unit("worker")
        since = time.time()
        bot.container("temporal").kill()
        assert told(bot, since, "killed by SIGKILL (exit code 137)") < SOON_S
        all_ready(bot)
        temporal = bot.unit("temporal")
        assert temporal["restarts"] >= 1
        assert temporal["last_exit"]["code"] == 137
        after = bot.unit("worker")
        assert (after["pid"], after["restarts"]) == (workers["pid"], workers["restarts"])
        answered(bot, "after the kill")

    def test_a_paused_container(self, bot):
        container = bot.container("postgresql")
        since = time.time()
        pause(container)
        try:
            assert told(bot, since, "paused", f"docker unpause {container.name}", name="postgresql") < SOON_S
            assert bot.unit("postgresql")["state"] == "unhealthy"
            assert bot.status()["state"] == "degraded"
        finally:
            container.unpause()
        all_ready(bot)
        answered(bot, "after the pause")

    def test_a_service_that_hangs(self, bot):
        restarts = bot.unit("temporal-ui")["restarts"]
        container = bot.container("temporal-ui")
        since = time.time()
        container.kill(signal="SIGSTOP")
        try:
            assert told(bot, since, "no answer", name="temporal-ui") < SOON_S + 2, "two questions unanswered"
        finally:
            container.kill(signal="SIGCONT")
        all_ready(bot)
        assert bot.unit("temporal-ui")["restarts"] == restarts, "what hangs is not killed: it may be its database"

    def test_a_container_without_its_network(self, bot):
        network = f"{bot.name}_default"
        since = time.time()
        found = bot.client.networks.list(names=[network])[0]
        for service in SERVICES:
            found.disconnect(bot.container(service), force=True)
        found.remove()
        assert told(bot, since, "disconnected from its network", name="postgresql") < SOON_S
        bot.ok("restart", "postgresql", "mongodb", "temporal", "temporal-ui", timeout=MEND_S)
        all_ready(bot)
        answered(bot, "on a new network")

    def test_compose_down_and_up_by_hand(self, bot):
        since = time.time()
        bot.compose("down")
        gone = time.time()
        for name in SERVICES:
            assert told(bot, since, "removed by somebody", "`mika up`", name=name) < gone - since + SOON_S
        assert not bot.containers(), "what somebody took away on purpose is not brought back"
        bot.compose("up", "-d")
        all_ready(bot)
        answered(bot, "brought back by hand")

    def test_what_was_removed_by_hand_restart_brings_back(self, bot):
        names = ("temporal", "temporal-ui")
        bot.compose("rm", "--stop", "--force", *names)
        poll_until(lambda: bot.unit("temporal")["state"] == "unhealthy", 10, "it is noticed")
        bot.ok("restart", *names, timeout=MEND_S)
        all_ready(bot)
        answered(bot, "brought back by mika")

    def test_a_container_stopped_by_hand_after_it_gave_up_is_adopted_again(self, bot):
        bot.ok("stop", "temporal-ui")
        bot.container("temporal-ui").start()
        bot.wait_state("temporal-ui", "ready")

    def test_services_that_mika_knows_nothing_of(self, idle):
        """A failing health check is told in its own words; an end without a restart policy is not a crash."""
        check = '{test: "echo seen; test ! -e /tmp/ill", interval: 1s, timeout: 1s, retries: 1}'
        idle.light(f"extra: {{{IDLER}, healthcheck: {check}}}, task: {{{IMAGE}, entrypoint: [sh, -c, sleep 1]}}")
        idle.up()
        assert idle.unit("extra")["detail"] == "healthy"
        idle.container("extra").exec_run("touch /tmp/ill")
        found = poll_until(
            lambda: [e for e in idle.events("unhealthy", "extra") if "health check fails: seen" in e["reason"]],
            15,
            "the health check's own words",
        )
        assert found
        idle.container("extra").exec_run("rm /tmp/ill")
        idle.wait_state("extra", "ready")
        poll_until(lambda: idle.unit("task")["state"] == "exited", 20, "it has exited")
        assert idle.unit("task")["restarts"] == 0
        assert idle.status()["state"] == "ready"

    @pytest.mark.alone  # it stops the engine of all other tests
    def test_the_engine_stops_and_comes_back(self, idle):
        idle.up()
        try:
            if not engine.stop():
                pytest.skip("the engine is not one of the tests' own, so it stays up")
            gone = time.time()
            words = "the Docker engine does not answer"
            with telling(lambda: [idle.unit(name) for name in SERVICES]):
                poll_until(
                    lambda: all(words in idle.unit(name)["detail"] for name in SERVICES),
                    SOON_S + 2,
                    "the engine is missed",
                )
            assert idle.status()["state"] == "degraded"
            assert time.time() - gone < SOON_S + 2
        finally:
            engine.start()
        all_ready(idle)


class TestAtTheStart:
    def test_volumes_that_do_not_fit(self, idle, monkeypatch):
        """Of another password, and of an older PostgreSQL."""
        with monkeypatch.context() as soon:
            soon.setitem(idle.env, "HEALTH_INTERVAL", "1s")
            idle.compose("up", "-d", "--wait", "postgresql", "mongodb")
        idle.compose("down")
        with monkeypatch.context() as other:
            other.setitem(idle.env, "POSTGRES_PASSWORD", "another")
            result = idle.refused(code=1, words="temporal-setup gave up: exit code 1: PostgreSQL refuses the password")
            assert "mika down --volumes" in result.err
            assert "password authentication failed" in idle.ok("logs", "temporal-setup").out
        with monkeypatch.context() as other:
            other.setitem(idle.env, "MONGO_PASSWORD", "another")
            idle.refused(code=1, words="mongodb gave up: MongoDB refuses the password of 'mika'")
        idle.client.containers.run(
            idle.env["TEMPORAL_ADMIN_IMAGE"],
            ["-c", "echo 13 > /data/PG_VERSION"],
            entrypoint="sh",
            user="0",
            network_mode="none",
            volumes={f"{idle.name}_postgres-data": {"bind": "/data"}},
            remove=True,
        )
        result = idle.refused(code=1, words="postgresql gave up: exit code 1: its volume was created by PostgreSQL 13")
        assert "set POSTGRES_IMAGE=postgres:13 in .env to keep the data" in result.err

    def test_out_of_memory(self, idle):
        idle.small(f"glutton: {{{IMAGE}, entrypoint: [tail, /dev/zero], mem_limit: 40m}}")
        running = idle.start_mika("up")
        running.wait_for("out of memory, killed by the kernel (exit code 137): its limit is 40 MB", START_S)

    def test_a_restart_loop_is_explained_at_once_and_ends(self, idle):
        """The engine's restart policy goes on by itself; that is nobody's wish to try again."""
        code = "sleep 0.7; test -e /tmp/well && exec sleep 600; echo Error: no such thing >&2; exit 3"
        idle.light(f"loop: {{{IMAGE}, restart: always, entrypoint: [sh, -c, '{code}']}}")
        running = idle.start_mika("up", "--watch")  # which keeps a stack up in which something gave up
        running.wait_for("exit code 3: Error: no such thing", START_S)
        assert len(idle.events("exited", "loop")) == 1
        running.wait_for("gave up: failed 8 times in a row: exit code 3: Error: no such thing", START_S)
        assert len(idle.events("exited", "loop")) == 8
        poll_until(lambda: idle.containers()["loop"] == "exited", 20, "the engine has been stopped from trying")
        assert idle.unit("loop")["state"] == "gave_up" or idle.unit("loop")["detail"], running.output()
        assert len(idle.events("gave_up", "loop")) == 1
        exits = len(idle.events("exited", "loop"))
        idle.container("loop").start()  # a person
        poll_until(lambda: len(idle.events("exited", "loop")) > exits, 20, "it is followed again")

    def test_stopped_containers_whose_network_was_removed(self, idle):
        idle.light(f"other: {{{IDLER}}}")
        idle.compose("up", "-d", "other")
        idle.compose("stop")
        idle.client.networks.list(names=[f"{idle.name}_default"])[0].remove()
        idle.up()

    def test_a_container_that_cannot_be_started(self, idle):
        idle.small(f"odd: {{{IMAGE}, entrypoint: [/no/such/program]}}")
        idle.refused(code=1, words="/no/such/program")

    def test_a_program_for_another_processor(self, idle):
        program = idle.folder / "odd"
        program.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0" + bytes(200))  # 0xb7: AArch64
        program.chmod(0o755)
        idle.small(f"odd: {{{IMAGE}, entrypoint: [/odd], volumes: ['./odd:/odd:ro']}}")
        idle.refused(code=1, words="odd gave up: exit code 1: the image is for another processor")

    def test_a_port_taken_by_a_program(self, idle):
        with _http_server(idle.ports["POSTGRES_PORT"]):
            port = idle.ports["POSTGRES_PORT"]
            idle.refused(code=2, words=f"port {port} (POSTGRES_PORT) is taken by ")
            assert not idle.containers()

    def test_a_port_taken_while_compose_works(self, idle):
        """The check before the start cannot see it; compose and the engine do."""
        with free_port() as port:
            same = f"{{{IDLER}, ports: ['127.0.0.1:{port}:9']}}"
            idle.small(f"one: {same}, two: {same}")
            result = idle.refused(code=1, words=f"port {port}")
            assert f"is taken by the container {idle.name}-" in result.err

    def test_a_container_name_that_is_taken(self, idle):
        name = f"{idle.name}-odd"
        other = idle.client.containers.create(idle.env["TEMPORAL_ADMIN_IMAGE"], "true", name=name)
        try:
            idle.small(f"odd: {{{IMAGE}, container_name: {name}}}")
            result = idle.refused(code=1, words=f"the container name {name} is taken by another container")
            assert f"docker rm {name}" in result.err
        finally:
            other.remove()

    def test_an_image_that_nobody_has(self, idle):
        with free_port() as port:
            image = f"127.0.0.1:{port}/none/ui:1"
            idle.small(f"ui: {{image: '{image}'}}")
            result = idle.refused(code=1, words=f"ui gave up: the image {image} could not be pulled")
            assert "its registry cannot be reached" in result.err

    def test_a_registry_that_refuses(self, idle):
        for status, code, words in (
            (404, "MANIFEST_UNKNOWN", "the tag does not exist"),
            (429, "TOOMANYREQUESTS", "429 (too many requests)"),
            (401, "UNAUTHORIZED", "needs a login"),
        ):
            with free_port() as port, _http_server(port, status, code):
                idle.small(f"ui: {{image: '127.0.0.1:{port}/temporal/ui:1'}}")
                result = idle.refused(code=1, words="could not be pulled")
                assert words in result.err, str(result)

    def test_a_paused_container_of_before(self, idle):
        idle.small(f"other: {{{IDLER}}}")
        idle.compose("up", "-d", "other")
        pause(idle.container("other"))
        result = idle.mika("up", "-d", timeout=START_S)
        assert result.code == 2
        assert f"the container {idle.name}-other-1 is paused" in result.err


class _http_server:  # noqa: N801 - a context manager
    """Listens on a port; a registry that answers everything but `/v2/` with an error of the registry protocol."""

    def __init__(self, port: int, status: int = 404, code: str = "NAME_UNKNOWN") -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                good = self.path == "/v2/"
                body = b"{}" if good else f'{{"errors": [{{"code": "{code}", "message": "{code.lower()}"}}]}}'.encode()
                self.send_response(200 if good else status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - http.server's names
            log_message: Callable[..., None] = lambda *_: None

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
