"""`mika up` beside a supervisor on Docker: what it brings back, and what it says when the start takes too long."""

from __future__ import annotations

import sys

import pytest

from tests.docker.dockerkit import SERVICES, DockerBot
from tests.kit import poll_until

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]


@pytest.mark.parametrize("options", [[], ["--volumes"]], ids=["data kept", "data gone"])
def test_up_makes_anew_what_was_removed_by_hand(tmp_path, options):
    with DockerBot(tmp_path) as bot:
        bot.up()
        supervisor = bot.status()["supervisor"]["pid"]
        assert bot.unit("worker")["last_exit"] is None, "it waits for its namespace"
        bot.compose("down", *options)
        poll_until(lambda: bot.unit("temporal")["state"] == "unhealthy", 10, "it is noticed")
        again = bot.up()
        assert "already up" in again.out
        assert bot.status()["supervisor"]["pid"] == supervisor
        for name in SERVICES:
            bot.wait_state(name, "ready", 30)
        bot.wait_ready(30)
        restarted = {name: bot.events("ready", name)[-1]["at"] for name in ("postgresql", "temporal")}
        assert restarted["postgresql"] < restarted["temporal"]
        assert bot.events("gave_up") == []
        poll_until(lambda: bot.post("after all").status_code == 200, 60, "a message is answered")


def test_up_starts_a_container_that_was_stopped(tmp_path):
    with DockerBot(tmp_path) as bot:
        bot.up()
        bot.ok("stop", "temporal-ui")
        bot.up()
        bot.wait_state("temporal-ui", "ready", 30)


def test_a_start_that_takes_too_long_says_why_when_all_has_stopped(tmp_path):
    with DockerBot(tmp_path) as bot:
        bot.override(
            'services: {extra: {image: "${TEMPORAL_ADMIN_IMAGE}", entrypoint: ["sh", "-c", "trap : TERM; while :; do'
            ' sleep 1; done"], stop_grace_period: 25s, healthcheck: {test: "exit 1", interval: 1s}}}'
        )
        result = bot.refused("--timeout", "20", code=1, words="not ready after 20 s: extra: ")
        assert "is stopped" not in result.err
        assert "done" not in result.err
        assert not list((bot.folder / ".mika" / "run").glob("up-*.json"))
