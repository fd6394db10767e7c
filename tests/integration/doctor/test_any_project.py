"""The doctor in a project that has nothing of the bot: two queues with a worker each, a web app, a plain server."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
from temporalio.client import Client

from tests.integration.test_any_worker import WORKER
from tests.kit.machine import ROOT, FreePort, poll_until
from tests.kit.project import Project

WEB = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, b'{"detail": "Not Found"}')

    def do_POST(self):
        self.answer(200, b'{"response": ""}')

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
FLOWS = """
import heavy
from temporalio import workflow

@workflow.defn
class Greet:
    @workflow.run
    async def run(self) -> str:
        return "hello"
"""
HEAVY = """
import os, time
from temporalio import workflow

def weight():
    with workflow.unsafe.sandbox_unrestricted():
        if workflow.unsafe.in_sandbox() and os.path.exists("weight"):
            return open("weight").read()

while (is_heavy := weight()):
    end = time.thread_time() + 0.1
    while is_heavy == "work" and time.thread_time() < end:
        pass
    time.sleep(0.01)
"""
SANDBOXED = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
from flows import Greet

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    await Worker(client, task_queue="greetings", workflows=[Greet]).run()

asyncio.run(main())
"""
STEP = 1.0  # s; a command takes 0.1 s of CPU
BOT_WORDS = ("mika send", "mika-bot", "LLM", "LangBot", "history", "no worker in the Procfile", "no API", "WORKFLOW_")


class Shop(Project):
    """Nothing of it is named `api` or `worker` for a reason that mika knows."""

    def __init__(self, parent: Any) -> None:
        self.plain = FreePort()
        procfile = "orders: python w.py orders\nmail: python w.py mail\nweb: python web.py $API_PORT\n"
        super().__init__(parent, f"{procfile}api: python -m http.server {self.plain.number}\n", backend="embedded")
        (self.folder / "pyproject.toml").unlink()
        self.write("w.py", WORKER)
        self.write("web.py", WEB)
        self.write(
            "mika.toml",
            '[process.orders]\nready = "worker:orders"\n[process.mail]\nready = "worker:mail"\n'
            '[process.web]\nready = "http://127.0.0.1:$API_PORT/health"\n'
            f'[process.api]\nready = "tcp:{self.plain.number}"\n',
        )

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.plain.release()

    def lines(self, check_id: str) -> list[dict[str, str]]:
        return [check for check in self.mika("doctor", "--json").json["checks"] if check["id"] == check_id]

    def start(self, queue: str, *args: Any, name: str = "Job") -> str:
        """Start a workflow, and wait for nothing."""

        async def main() -> str:
            client = await Client.connect(f"127.0.0.1:{self.ports['TEMPORAL_PORT']}")
            limits = {"run_timeout": timedelta(seconds=120), "task_timeout": timedelta(seconds=30)}
            job = await client.start_workflow(name, args=args, id=uuid.uuid4().hex, task_queue=queue, **limits)
            return job.id

        return asyncio.run(main())


@pytest.fixture(scope="module")
def _shared_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as shop:
        up = shop.up()
        assert f"web          http://127.0.0.1:{shop.ports['API_PORT']}\n" in up.out
        assert "mika send" not in up.out
        yield shop


@pytest.fixture
def shop(_shared_shop: Shop) -> Shop:
    """Up and ready; a test may stop what it wants."""
    if down := [unit["name"] for unit in _shared_shop.status()["processes"] if unit["state"] == "stopped"]:
        _shared_shop.ok("start", *down)
    _shared_shop.wait_ready()
    return _shared_shop


def test_a_healthy_stack_of_others_gives_no_alarm_and_hears_nothing_of_the_bot(shop):
    result = shop.mika("doctor")
    assert result.code == 0, str(result)
    assert not [word for word in BOT_WORDS if word in result.out], str(result)
    assert "WARN" not in result.out.upper(), str(result)
    workers = [check["finding"] for check in shop.lines("worker")]
    assert [text.partition(" ")[0] for text in workers] == ["orders", "mail"], workers
    assert [check["finding"] for check in shop.lines("api")] == [
        f"web: http://127.0.0.1:{shop.ports['API_PORT']}/health",
        f"api: 127.0.0.1:{shop.plain.number}",
    ]
    assert shop.lines("queue")[0]["finding"] == "orders, mail: nothing waits"


def test_the_real_process_of_a_queue_is_named(shop):
    """That of another queue is well, and not to blame."""
    shop.ok("stop", "mail")
    workflow_id = shop.start("mail", 0)
    poll_until(lambda: "no_worker" in shop.ok("workflows", "-n", "1").out, 15, "it is noticed", STEP)
    mail, orders = sorted(shop.lines("worker"), key=lambda check: check["status"])
    assert (mail["status"], mail["finding"], mail["fix"]) == ("fail", "mail was stopped", "`mika start mail`")
    assert orders["status"] == "ok"
    assert shop.lines("workflows")[0]["because"] == "worker"
    story = shop.mika("doctor", "--workflow", workflow_id, "--json").json
    assert (story["cause"], story["fix"]) == ("no_worker", "`mika start mail`")
    assert "mail was stopped" in story["finding"]
    listed = shop.mika("workflows", "-n", "1", "--json").json["workflows"][0]
    assert "mail was stopped" in listed["finding"]
    assert shop.mika("doctor", "--fix").code == 0
    shop.wait_ready()
    poll_until(lambda: "completed" in shop.ok("workflows", "-n", "1").out, 30, "it goes on", STEP)


def test_send_says_that_the_api_does_not_speak_the_webhook(shop):
    refused = shop.error("send", "hello", code=1)
    assert refused.out == ""
    assert f"http://127.0.0.1:{shop.ports['API_PORT']} answers 200 OK" in refused.err
    assert '{"response": ""}) to POST /webhook/langbot: this API does not speak the LangBot webhook' in refused.err
    assert "`mika workflows` lists what your own API starts" in refused.err.replace("python -m mika", "mika")


def test_a_killed_worker_with_an_activity_is_not_one_that_is_missing(shop):
    """It was told to start what is there, and later that the activity still runs, which nobody did."""
    workflow_id = shop.start("orders", 0, 50)
    running = "activity work has been running"
    poll_until(lambda: running in shop.mika("doctor", "--workflow", workflow_id).out, 15, running, STEP)
    pid = shop.pid("orders")
    psutil.Process(pid).kill()
    shop.wait_replaced("orders", pid)
    story = shop.mika("doctor", "--workflow", workflow_id, "--json").json
    assert story["cause"] == "worker_killed", story
    assert f"its worker {pid}@" in story["finding"]
    again = r"has exited; the server gives it out again in \d\d s \(start-to-close timeout of 60 s\)"
    assert re.search(again, story["finding"]), story
    assert "heartbeat_timeout" in story["fix"]
    found = shop.mika("doctor")
    assert found.code == 0, str(found)
    assert "1 running with a problem" in found.out
    assert "no_worker" not in found.out
    shop.ok("workflows", "terminate", workflow_id, "--yes")


def test_a_slow_task_is_named_without_a_guess_at_its_reason(shop):
    """This worker has no sandbox."""
    workflow_id = shop.start("orders", 6)
    poll_until(lambda: "completed" in shop.mika("doctor", "--workflow", workflow_id).out, 30, "the end", STEP)
    check = shop.lines("workflows")[0]
    assert check["status"] == "warn"
    assert check["finding"].startswith("slow: 6.")
    assert check["finding"].endswith(f" s in its first workflow task of {workflow_id}")
    assert "belongs in an activity" in check["fix"]
    assert "slow: 6." in shop.ok("doctor", "--workflow", workflow_id).out


def test_imports_in_the_sandbox(shop, tmp_path):
    """A project of its own: where the sandbox is changed anywhere, nothing is said."""
    why = "imports in the sandbox, again for each workflow (flows.py imports heavy)"
    with Project(tmp_path, "greeter: python w.py\n", backend="external") as this:
        this.ports["TEMPORAL_PORT"] = shop.ports["TEMPORAL_PORT"]
        for name, text in {"w.py": SANDBOXED, "flows.py": FLOWS, "../lib/heavy.py": HEAVY}.items():
            this.write(name, text)
        this.env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path / 'lib'}"
        this.write("mika.toml", '[process.greeter]\nready = "worker:greetings"\n')
        this.up()
        heavy = this.write("weight", "work")  # not already when the worker looked at its workflows
        workflow_id = shop.start("greetings", name="Greet")

        def story() -> dict[str, Any]:
            return this.mika("doctor", "--workflow", workflow_id, "--json").json

        slow = poll_until(lambda: found if (found := story())["cause"] == "slow" else None, 30, "it works", STEP) or {}
        assert slow["finding"].endswith(f" s in its first workflow task so far; {why}"), slow
        assert "import heavy in flows.py within `with workflow.unsafe.imports_passed_through():`" in slow["fix"]
        heavy.write_text("rest")  # it has been seen at work
        poll_until(lambda: story()["workflow"]["age_s"] > 8, 30, "longer than the other slow one took", STEP)
        heavy.unlink()
        poll_until(lambda: story()["workflow"]["status"] == "completed", 40, "the end", STEP)
        assert this.unit("greeter")["restarts"] == 0
        check = next(check for check in this.mika("doctor", "--json").json["checks"] if check["id"] == "workflows")
        assert (check["status"], check["finding"].partition(" s in ")[2]) == (
            "warn",
            f"its first workflow task of {workflow_id}; {why}",
        )
