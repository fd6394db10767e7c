"""`mika up` beside a supervisor on Docker: what it brings back, and what it says when the start takes too long."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.kit.docker.bot import IDLE, IMAGE, SERVICES, START_S, DockerBot, pause
from tests.kit.machine import poll_until

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]


@pytest.fixture(scope="module")
def _shared_attached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBot]:
    with DockerBot(tmp_path_factory.mktemp("attached")) as bot:
        yield bot


@pytest.fixture
def bot(_shared_attached: DockerBot) -> DockerBot:
    """A stack that is up and ready, of which a test takes something away."""
    _shared_attached.up()
    return _shared_attached


def ready_and_answering(bot: DockerBot) -> None:
    for name in SERVICES:
        bot.wait_state(name, "ready", 30)
    bot.wait_ready(30)
    assert bot.events("gave_up") == []
    poll_until(lambda: bot.post("after all").status_code == 200, 120, "a message is answered")


@pytest.mark.parametrize("options", [[], ["--volumes"]], ids=["data kept", "data gone"])
def test_up_makes_anew_what_was_removed_by_hand(bot, options):
    supervisor = bot.status()["supervisor"]["pid"]
    bot.compose("down", *options)
    poll_until(lambda: bot.unit("temporal")["state"] == "unhealthy", 10, "it is noticed")
    again = bot.up()
    assert "already up" in again.out
    assert bot.status()["supervisor"]["pid"] == supervisor
    ready_and_answering(bot)
    restarted = {name: bot.events("ready", name)[-1]["at"] for name in ("postgresql", "temporal")}
    assert restarted["postgresql"] < restarted["temporal"]


def test_up_sets_up_a_database_that_was_deleted_alone(bot):
    """And makes anew what was removed while it was starting."""
    pause(bot.container("temporal"))
    bot.mika("restart", "temporal-ui", "--timeout", "3")
    assert bot.unit("temporal-ui")["state"] == "starting"
    for name in ("temporal-ui", "temporal", "postgresql"):
        bot.container(name).remove(force=True)
    bot.client.volumes.get(f"{bot.name}_postgres-data").remove()
    poll_until(lambda: bot.unit("temporal-ui")["container"] == "removed", 10, "the UI's is missed")
    poll_until(lambda: bot.unit("postgresql")["container"] == "removed", 10, "the database's is missed")
    bot.up()
    ready_and_answering(bot)


def test_up_connects_a_container_to_its_network_again(bot):
    bot.client.networks.list(names=[f"{bot.name}_default"])[0].disconnect(bot.container("temporal"), force=True)
    poll_until(lambda: bot.unit("temporal")["container"] == "disconnected", 10, "it is noticed")
    poll_until(lambda: bot.unit("temporal")["state"] == "unhealthy", 10, "it is reported")
    bot.up()
    assert bot.status()["state"] == "ready"


def test_up_starts_a_container_that_was_stopped(bot):
    bot.ok("stop", "temporal-ui")
    bot.up()
    bot.wait_state("temporal-ui", "ready", 30)


def test_up_does_not_wait_for_a_service_that_gave_up(bot):
    """The last test of this stack, which it leaves broken."""
    bot.override("services: {temporal: {entrypoint: [sh, -c, 'echo no way; exit 3']}}")
    bot.container("temporal").remove(force=True)
    poll_until(lambda: bot.unit("temporal")["container"] == "removed", 10, "it is missed")
    result = bot.mika("up", "-d", timeout=START_S)
    assert (result.code, "temporal gave up: failed 8 times in a row" in result.err) == (1, True), str(result)
    assert result.seconds < START_S / 2


def test_a_start_that_takes_too_long_says_why_when_all_has_stopped(tmp_path):
    with DockerBot(tmp_path, procfile=IDLE) as bot:
        stubborn = "entrypoint: [sh, -c, 'trap : TERM; while :; do sleep 1; done'], stop_grace_period: 17s"
        bot.small(f"extra: {{{IMAGE}, {stubborn}, healthcheck: {{test: exit 1, interval: 5s}}}}")
        result = bot.refused("--timeout", "20", code=1, words="not ready after 20 s: ")
        assert result.seconds > 20 + 17, "longer than the command waits when nothing stops"
        assert "extra: healthy: its health check" in result.err
        assert "is stopped" not in result.err
        assert "done" not in result.err
        assert not list((bot.folder / ".mika" / "run").glob("up-*.json"))
