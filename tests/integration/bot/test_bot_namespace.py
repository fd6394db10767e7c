"""A server whose namespace is made a moment later: what happens at every first start under mika."""

from __future__ import annotations

import subprocess

from mika.backends.embedded import find_temporal

from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.machine import poll_until

SUPERVISED = {"MIKA_WORKER_IDENTITY": "mika/run-1/worker"}


def create_namespace(server: TemporalServer, name: str) -> None:
    command = [
        str(find_temporal()),
        "operator",
        "namespace",
        "create",
        "-n",
        name,
        "--address",
        f"127.0.0.1:{server.port}",
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)


def test_a_supervised_worker_waits_for_its_namespace(tmp_path, temporal):
    with BotProcesses(
        tmp_path, temporal.port, TEMPORAL_NAMESPACE="later", MIKA_WORKER_IDENTITY="mika/run-1/worker"
    ) as bot:
        api = bot.start_api()
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        worker.wait_for("no namespace 'later'")
        assert bot.post().json()["code"] == "temporal_unavailable"
        create_namespace(temporal, "later")
        worker.wait_for("worker_started")
        poll_until(lambda: bot.post().status_code == 200, 30, "an answer")
        assert (api.popen.poll(), worker.popen.poll()) == (None, None)


def test_its_patience_has_an_end(tmp_path, temporal):
    code = (
        "import sys\nimport src.workers.temporal_worker as worker\n"
        "worker._NAMESPACE_PATIENCE = 1\nsys.exit(worker.main())\n"
    )
    with BotProcesses(
        tmp_path, temporal.port, TEMPORAL_NAMESPACE="never", MIKA_WORKER_IDENTITY="mika/run-1/worker"
    ) as bot:
        worker = bot.start("worker", "-c", code)
        assert worker.wait() == 2
        assert worker.output().strip().splitlines()[-1].startswith("mika worker: Temporal at ")
        assert "temporal operator namespace create -n never" in worker.output()
