"""`mika doctor` names the container to fix, as `mika status` does, and nothing else beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.docker.bot import IDLE, IDLER, IMAGE, SERVICES, DockerBot, pause
from tests.kit.machine import poll_until

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]
FIX_S = 60.0
TEMPORALS = ("temporal", "namespace", "worker", "queue", "workflows", "ui")


@pytest.fixture(scope="module")
def _shared_examined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBot]:
    with DockerBot(tmp_path_factory.mktemp("doctor")) as bot:
        bot.up()
        yield bot


@pytest.fixture
def bot(_shared_examined: DockerBot) -> DockerBot:
    return _shared_examined


def checks(bot: DockerBot) -> dict[str, dict[str, Any]]:
    result = bot.mika("doctor", "--json")
    assert result.code in (0, 1), str(result)
    return {check["id"]: check for check in result.json["checks"]}


def failed(found: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, check in found.items() if check["status"] == "fail"]


def because_of_docker(found: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, check in found.items() if check.get("because") == "docker"}


def is_fixed(bot: DockerBot) -> None:
    bot.wait_ready(FIX_S)
    poll_until(lambda: not failed(checks(bot)), FIX_S, "nothing is left to fix")


@pytest.mark.parametrize(
    ("name", "consequences"),
    # Without its database, Temporal may still say that it is serving.
    [("postgresql", TEMPORALS[1:]), ("temporal", TEMPORALS), ("mongodb", ("history",))],
)
def test_a_stopped_service(bot: DockerBot, name: str, consequences: tuple[str, ...]) -> None:
    bot.ok("stop", name)
    try:
        # Temporal lives off what it has in memory for a while.
        found = poll_until(
            lambda: (now := checks(bot)) and because_of_docker(now) >= set(consequences) and now, 60, "consequences"
        )
        assert found
        assert failed(found) == ["docker"]
        assert (found["docker"]["finding"], found["docker"]["fix"]) == (f"{name} was stopped", f"`mika start {name}`")
    finally:
        bot.ok("start", name)
    is_fixed(bot)


def test_a_paused_database(bot: DockerBot) -> None:
    container = bot.container("postgresql")
    pause(container)
    try:
        poll_until(lambda: bot.unit("postgresql")["state"] == "unhealthy", 10, "it is noticed")
        found = checks(bot)
        assert failed(found) == ["docker"]
        assert found["docker"]["finding"] == "postgresql is unhealthy: its container is paused"
        assert f"`docker unpause {container.name}`" in found["docker"]["fix"]
        assert "missing" not in str(found)
    finally:
        container.unpause()
    is_fixed(bot)


def test_containers_removed_by_hand(bot: DockerBot) -> None:
    """The last one in this stack: it is left without containers."""
    bot.compose("down", "--timeout", "1")
    poll_until(lambda: all("removed by" in bot.unit(name)["detail"] for name in SERVICES), 10, "all are missed")
    found = checks(bot)
    assert failed(found) == ["docker"]
    assert "postgresql" in found["docker"]["finding"]
    assert "removed by somebody" in found["docker"]["finding"]
    assert found["docker"]["fix"].startswith("`mika up`")


def test_without_a_supervisor_the_engine_is_asked(tmp_path):
    ends = "restart: 'on-failure:5', entrypoint: [sh, -c, 'trap \"exit 0\" TERM; sleep 600 & wait']"
    with DockerBot(tmp_path, procfile=IDLE) as bot:
        bot.small(f"dozes: {{{IDLER}}}, ends: {{{IMAGE}, {ends}}}")
        found = checks(bot)["docker"]
        assert (found["finding"], found["fix"]) == ("there are no containers of this project", "`mika up`")
        bot.compose("up", "-d", "dozes", "ends")
        assert checks(bot)["docker"]["status"] == "ok"
        bot.compose("stop", "ends")
        found = checks(bot)["docker"]
        assert found["finding"] == "ends: its container has exited with code 0"
        assert found["fix"] == "`mika up`"
        pause(bot.container("dozes"))
        found = checks(bot)["docker"]
        assert f"`docker unpause {bot.name}-dozes-1`" in found["fix"]
        file = bot.folder / "docker-compose.yml"
        whole = file.read_text(encoding="utf-8")
        file.write_text(f"{whole}\n  - nonsense: [\n", encoding="utf-8")
        try:
            found = checks(bot)["docker"]
            assert (found["status"], "docker-compose.yml" in found["finding"]) == ("fail", True)
            assert found["fix"] == "fix it, then `mika up`"
        finally:
            file.write_text(whole, encoding="utf-8")
