"""The real bot with its own Temporal server, as Windows processes. Needs temporal.exe: `setup.sh --temporal`."""

from __future__ import annotations

import httpx
import pytest

from tests.kit.windows.project import PATIENCE


@pytest.mark.timeout(300)
def test_embedded(windows, project):
    if windows.temporal is None:
        pytest.skip("no temporal.exe: tests/windows/setup.sh --temporal builds it")
    bot = project(
        "api: python -m uvicorn src.api.main:app --port $API_PORT\r\nworker: python -m src.workers.temporal_worker\r\n",
        backend="embedded",
        name="Müller's bot",
    )
    up = bot.mika("up", "-d", timeout=180)
    assert up.code == 0, str(up)
    ui = f"http://127.0.0.1:{bot.ports['TEMPORAL_UI_PORT']}"
    assert ui in up.out
    assert httpx.get(ui, timeout=30, trust_env=False, follow_redirects=True).status_code == 200
    assert "I remember: 0" in bot.ok("send", "one").out

    server = bot.pid("temporal")
    bot.terminate(server)
    bot.wait_replaced("temporal", server, PATIENCE)
    bot.wait_ready(PATIENCE)
    assert "I remember: 1" in bot.ok("send", "two").out, "nothing was lost"
    assert [process["restarts"] for process in bot.status()["processes"]] == [0, 0], "they reconnect by themselves"

    assert bot.ok("down").out.startswith("stopped ")
    bot.assert_gone(15)
    assert "Finished server process" in bot.log("api")
    assert "worker_stopped" in bot.log("worker")
    bot.assert_ports_free()
    assert ".mika" in bot.ok("down", "--volumes", "--yes").out
    assert not (bot.folder / ".mika" / "data" / "temporal.db").exists()
