"""Workers that have never heard of mika: of any SDK, slow, with one type of tasks, behind a shell."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client

from tests.kit.bot import Bot
from tests.kit.machine import poll_until, posix_only

WORKER = """
import asyncio, os, socket, sys, time
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

@activity.defn
async def work(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"

@workflow.defn
class Job:
    @workflow.run
    async def run(self, block: float, seconds: float = 0) -> str:
        time.sleep(block)  # what a heavy import in the sandbox does, or a machine that is busy otherwise
        return await workflow.execute_activity(work, seconds, start_to_close_timeout=timedelta(seconds=60))

async def main():
    identity = f"{os.getpid()}@{socket.gethostname()}" + os.environ.get("IDENTITY_SUFFIX", "")
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}", identity=identity)
    only = os.environ.get("ONLY", "")
    await Worker(
        client, task_queue=(sys.argv[1:] or ["jobs"])[0], workflows=[] if only == "activities" else [Job],
        activities=[] if only == "workflows" else [work], workflow_runner=UnsandboxedWorkflowRunner(), debug_mode=True
    ).run()

asyncio.run(main())
"""
QUEUE = 'ready = "worker:jobs"\n'


def bot(folder: Path, toml: str = "", procfile: str = "jobs: python w.py\n", **env: str) -> Bot:
    made = Bot(folder, procfile=procfile)
    made.write("w.py", WORKER)
    made.write("mika.toml", f"[process.jobs]\n{QUEUE}{toml}")
    made.env |= env
    return made


async def answers(this: Bot, count: int, block: float) -> list[str]:
    client = await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}")
    jobs = [
        client.execute_workflow("Job", block, id=f"job-{number}", task_queue="jobs", task_timeout=timedelta(seconds=30))
        for number in range(count)
    ]
    return await asyncio.gather(*jobs)


@pytest.mark.parametrize(("count", "block", "within"), [(1, 12, 16), (24, 1, 45)])
def test_a_slow_worker_is_not_killed(tmp_path, count, block, within):
    """One that takes 12 s for its first step was killed after 8 s, and so was each of its successors."""
    with bot(tmp_path) as this:
        this.up()
        pid, began = this.pid("jobs"), time.monotonic()
        assert asyncio.run(answers(this, count, block)) == ["done"] * count
        assert time.monotonic() - began < within
        assert (this.pid("jobs"), this.unit("jobs")["restarts"]) == (pid, 0)
        assert not this.events("unhealthy", "jobs")


@pytest.mark.parametrize(
    ("env", "ready"),
    [
        ({"IDENTITY_SUFFIX": "@"}, "worker:jobs"),
        ({"IDENTITY_SUFFIX": "@jobs@1"}, "worker:jobs"),
        ({"ONLY": "activities"}, "worker:jobs"),
        ({"ONLY": "workflows"}, "worker:jobs/workflow"),
    ],
    ids=["go", "go-with-queue", "activities", "workflows"],
)
def test_any_worker_that_polls_is_ready(tmp_path, env, ready):
    with bot(tmp_path, **env) as this:
        this.write("mika.toml", f'[process.jobs]\nready = "{ready}"\n')
        this.up("--timeout", "30")
        assert this.unit("jobs")["state"] == "ready"


def test_a_type_of_tasks_that_is_missing_is_named(tmp_path):
    with bot(tmp_path, ONLY="activities") as this:
        this.write("mika.toml", '[process.jobs]\nready = "worker:jobs/workflow"\n')
        up = this.mika("up", "-d", "--timeout", "8")
        assert up.code == 1
        assert "it polls jobs, but not for workflow tasks" in up.err


@posix_only
def test_a_shell_that_lives_on_after_its_worker_is_not_ready(tmp_path):
    with bot(tmp_path, procfile="jobs: bash -c 'python w.py; sleep 1000'\n") as this:
        this.up()
        shell = psutil.Process(this.pid("jobs"))
        worker = next(child for child in [shell, *shell.children(recursive=True)] if "w.py" in child.cmdline()[1:])
        worker.kill()
        event = poll_until(lambda: this.events("unhealthy", "jobs"), 20, "it is noticed")[0]
        assert f"its worker (pid {worker.pid}) is gone: it does not poll jobs yet" in event["reason"]
        this.wait_unit("jobs", "was replaced", lambda unit: unit["restarts"] > 0 and unit["state"] == "ready")


BOTH = """
import asyncio, os
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

@activity.defn
async def work() -> None: ...

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    workers = [Worker(client, task_queue=queue, activities=[work]).run() for queue in os.environ["QUEUES"].split()]
    await asyncio.gather(*workers)

asyncio.run(main())
"""


def test_a_worker_of_two_queues_is_ready_when_it_polls_both(tmp_path):
    with Bot(tmp_path, procfile="media: python m.py\n", env={"QUEUES": "encoding"}) as this:
        this.write("m.py", BOTH)
        this.write("mika.toml", '[process.media]\nready = ["worker:encoding/activity", "worker:publishing/activity"]\n')
        late = this.mika("up", "-d", "--timeout", "6")
        assert late.code == 1
        assert "it does not poll publishing yet" in late.err
        this.env["QUEUES"] = "encoding publishing"
        this.up()
        assert this.unit("media")["detail"] == "polling encoding, publishing"


HOST = f"temporal-{'x' * 60}"  # so long that no network is asked for it
REFUSED = f"""
import asyncio
from temporalio.client import Client

asyncio.run(Client.connect("{HOST}:7233"))
"""


def test_a_host_name_of_compose_is_named_and_not_tried_for_ever(project):
    """Instead of six restarts, each with a dump of the SDK's Rust part."""
    this = project(scripts={"jobs": REFUSED}, toml='[process.jobs]\nready = "log:never"\n')
    up = this.mika("up", "-d")
    assert up.code == 1
    text = f"the host name `{HOST}` cannot be resolved here: that of a compose service exists only inside compose"
    assert f"jobs gave up: {text}; another attempt would fail the same way" in up.err
    assert "connect to the address in TEMPORAL_ADDRESS" in up.err
    assert len(this.events("started", "jobs")) == 2


CRASH = """
import ctypes

class Late:
    def __del__(self, die=ctypes.pythonapi.Py_FatalError):
        die(b"as a thread of the SDK dies that comes too late")

late = Late()
"""


@posix_only
def test_the_reason_is_not_hidden_by_a_crash_of_the_sdk_at_the_end(project):
    this = project(scripts={"jobs": CRASH + REFUSED}, toml='[process.jobs]\nready = "log:never"\n')
    up = this.mika("up", "-d")
    assert f"jobs gave up: the host name `{HOST}` cannot be resolved here" in up.err
    assert "connect to the address in TEMPORAL_ADDRESS" in up.err
    assert [event["code"] for event in this.events("exited", "jobs")] == [-6, -6]
