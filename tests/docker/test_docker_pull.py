"""Images that are missing are pulled: with progress, interruptible, and again where it was broken off."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import pytest
from docker.errors import ImageNotFound

from tests.kit.docker import engine
from tests.kit.docker.bot import IDLE, DockerBot
from tests.kit.docker.registry import Registry
from tests.kit.machine import free_port, poll_until

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]


def test_progress_interruption_and_the_next_try(tmp_path):
    with (
        DockerBot(tmp_path, procfile=IDLE) as bot,
        free_port() as port,
        Registry(port, bytes_per_s=150_000) as registry,
    ):
        bot.small(f"slow: {{image: '{registry.image}'}}")
        bot.env["MIKA_TIMEOUT"] = "4"
        running = bot.start_mika("up")
        try:
            # Two layers of 3 MB at 0.15 MB/s need longer than the timeout of 4 s, which is for the start alone.
            waiting = poll_until(
                lambda: [e for e in bot.events("rung_waiting", "slow") if " of 6 MB, 0." in e["reason"]],
                30,
                "progress in MB",
            )
            assert waiting[0]["reason"].startswith(f"pulling {registry.image}: ")
            assert "of 2 layers" in waiting[0]["reason"]
            # Past the timeout; without a terminal the progress is told in lines.
            running.wait_for(f"waiting for image: pulling {registry.image}: ", 30)
            running.send(signal.SIGINT)
            assert running.wait(15) == 130
            assert not bot.containers()
            with pytest.raises(ImageNotFound):
                bot.client.images.get(registry.image)

            registry.bytes_per_s = 1e9
            bot.env["MIKA_TIMEOUT"] = "60"
            # The image is there now; that it holds no program is found next.
            bot.refused(code=1, words="/nothing")
            assert bot.client.images.get(registry.image)
        finally:
            with contextlib.suppress(ImageNotFound):
                bot.client.images.remove(registry.image, force=True)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="a small disk wants root")
def test_a_full_disk(tmp_path):
    with (
        DockerBot(tmp_path, procfile=IDLE) as bot,
        free_port() as port,
        Registry(port, bytes_per_s=1e9) as registry,
        engine.cramped(tmp_path / "engine", megabytes=8) as host,
    ):
        bot.write(
            "docker-compose.yml",
            f"services: {{temporal: {{image: '{registry.image}', ports: ['127.0.0.1:${{TEMPORAL_PORT}}:7233']}}}}",
        )
        bot.env["DOCKER_HOST"] = host
        result = bot.mika("up", "-d", timeout=60)
        del bot.env["DOCKER_HOST"]
        assert result.code == 1, str(result)
        assert f"the image {registry.image} could not be pulled: the disk of the Docker engine is full" in result.err
