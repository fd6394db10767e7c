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


def test_only_a_supervised_worker_waits_for_its_namespace(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, TEMPORAL_NAMESPACE="later") as processes, processes.api_here() as bot:
        supervised = bot.start("worker", "-m", "src.workers.temporal_worker", MIKA_WORKER_IDENTITY="mika/run-1/worker")
        supervised.wait_for("no namespace 'later'")
        alone = bot.start("worker", "-m", "src.workers.temporal_worker")
        assert alone.wait() == 2
        assert "'later'" in alone.output().strip().splitlines()[-1]
        assert "Traceback" not in alone.output()
        assert bot.post().json()["code"] == "temporal_unavailable"
        ready = bot.http.get("/readyz").json()
        assert (ready["temporal"]["error"], ready["temporal"]["namespace"]) == ("namespace_missing", "later")
        assert ready["worker"]["error"] == "namespace_missing"
        create_namespace(temporal, "later")
        supervised.wait_for("worker_started")
        poll_until(lambda: bot.post().status_code == 200, 30, "an answer")
        assert supervised.popen.poll() is None
        assert '"identity": "mika/run-1/worker"' in supervised.output()


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
