"""Workers that have never heard of mika: of any SDK, slow, with one type of tasks, behind a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
from temporalio.client import Client

from tests.kit.bot_processes import TemporalServer
from tests.kit.machine import POSIX, poll_until, posix_only
from tests.kit.project import Project

WORKER = """
import asyncio, os, socket, sys, time
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

@activity.defn
async def work(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"

@activity.defn
async def blocking(seconds: float) -> str:
    time.sleep(seconds)  # in an `async def`: nothing else runs meanwhile
    return "unblocked"

@workflow.defn
class Blocked:
    @workflow.run
    async def run(self, seconds: float) -> str:
        once = RetryPolicy(maximum_attempts=1)  # the first kill would end it
        limit = timedelta(seconds=60)
        return await workflow.execute_activity(blocking, seconds, start_to_close_timeout=limit, retry_policy=once)

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
        client, task_queue=(sys.argv[1:] or ["jobs"])[0], workflows=[] if only == "activities" else [Job, Blocked],
        activities=[] if only == "workflows" else [work, blocking],
        workflow_runner=UnsandboxedWorkflowRunner(), debug_mode=True,
        build_id="kit",  # else a worker reads every module
    ).run()

asyncio.run(main())
"""


BOTH = """
import asyncio, os
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

@activity.defn
async def work() -> None: ...

async def main():
    address = f"127.0.0.1:{os.environ.get('ELSEWHERE') or os.environ['TEMPORAL_PORT']}"
    client = await Client.connect(address, namespace=os.environ.get("NAMESPACE") or "default")
    queues = os.environ["QUEUES"].split()
    await asyncio.gather(*(Worker(client, task_queue=each, activities=[work], build_id="kit").run() for each in queues))

asyncio.run(main())
"""


PRINTER = """
import asyncio
from temporalio.client import Client
from temporalio.worker import Worker

async def main():
    await Worker(await Client.connect("localhost:7233"), task_queue="printing").run()

if __name__ == "__main__":
    asyncio.run(main())
"""


def settings(only: str = "workflows", queues: str = "encoding publishing", **env: object) -> str:
    """`go` and `queued` are workers of Go's SDK, one queue between them; `media` polls two."""
    values = ", ".join(f'{name} = "{value}"' for name, value in {"QUEUES": queues, **env}.items())
    return f"""
[process.go]
ready = "worker:jobs"
env = {{ IDENTITY_SUFFIX = "@", ONLY = "activities" }}
[process.queued]
ready = "worker:jobs/workflow"
env = {{ IDENTITY_SUFFIX = "@jobs@1", ONLY = "{only}" }}
grace = 1
[process.shell]
ready = "worker:shell"
[process.media]
ready = ["worker:encoding/activity", "worker:publishing/activity"]
grace = 1
env = {{ {values} }}
"""


@pytest.fixture(scope="module")
def _shared_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack of workers, at a server that is there."""
    folder = tmp_path_factory.mktemp("workers")
    procfile = "go: python w.py\nqueued: python w.py\nmedia: python m.py\n"
    procfile += "shell: bash -c 'python w.py shell; sleep 1000'\n" if POSIX else "shell: python w.py shell\n"
    with TemporalServer(folder, in_memory=True, namespace="other") as server:
        env = {"TEMPORAL_PORT": str(server.port)}
        with Project(folder, procfile, toml=settings(), backend="external", env=env) as stack:
            stack.write("w.py", WORKER)
            stack.write("m.py", BOTH)
            stack.up("--timeout", "60")
            yield stack


@pytest.fixture
def workers(_shared_workers: Project) -> Project:
    """That stack, ready. A test leaves it ready, too, but for the last one."""
    _shared_workers.wait_ready()
    return _shared_workers


async def answers(this: Project, queue: str, count: int, block: float) -> list[str]:
    client = await Client.connect(f"127.0.0.1:{this.env['TEMPORAL_PORT']}")
    options: dict[str, Any] = {"task_queue": queue, "task_timeout": timedelta(seconds=30)}
    jobs = [client.execute_workflow("Job", block, id=f"{queue}-{number}", **options) for number in range(count)]
    return await asyncio.gather(*jobs)


def test_any_worker_that_polls_is_ready(workers):
    """Whatever its SDK adds to its identity, and with one type of tasks alone."""
    details = {name: workers.unit(name)["detail"] for name in ("go", "queued", "shell", "media")}
    assert details == {
        "go": "polling jobs",
        "queued": "polling jobs",
        "shell": "polling shell",
        "media": "polling encoding, publishing",
    }


def test_a_slow_worker_is_not_killed(workers):
    """One that takes 12 s for its first step was killed after 8 s, and so was each of its successors.

    The other one has 12 steps of a second each at a time.
    """
    names = ("shell", "go", "queued")
    pids = [workers.pid(name) for name in names]

    async def both() -> list[list[str]]:
        return await asyncio.gather(answers(workers, "shell", 1, 12), answers(workers, "jobs", 12, 1))

    assert asyncio.run(both()) == [["done"], ["done"] * 12]
    assert [workers.pid(name) for name in names] == pids
    assert not [event for name in names for event in workers.events("unhealthy", name)]


@posix_only
def test_a_shell_that_lives_on_after_its_worker_is_not_ready(workers):
    shell = psutil.Process(workers.pid("shell"))
    worker = next(child for child in [shell, *shell.children(recursive=True)] if "w.py" in child.cmdline()[1:])
    worker.kill()
    event = poll_until(lambda: workers.events("unhealthy", "shell"), 20, "it is noticed", step=0.2)[0]
    assert f"its worker (pid {worker.pid}) is gone: it does not poll shell yet" in event["reason"]
    workers.wait_unit("shell", "was replaced", lambda unit: unit["restarts"] > 0 and unit["state"] == "ready")


def test_a_worker_that_an_activity_blocks_is_not_killed(workers):
    """One that is tried only once, or was begun again: it would block its successor again, and never end."""
    workers.write("mika.toml", settings().replace("[process.shell]", "[process.shell]\nhang_timeout = 2"))
    workers.ok("restart", "shell", "--force")
    pid = workers.pid("shell")

    async def both() -> list[str]:
        client = await Client.connect(f"127.0.0.1:{workers.env['TEMPORAL_PORT']}")
        options: dict[str, Any] = {"task_queue": "shell", "task_timeout": timedelta(seconds=2)}
        blocked = asyncio.ensure_future(client.execute_workflow("Blocked", 16, id="blocked", **options))
        await asyncio.sleep(1)
        return await asyncio.gather(blocked, client.execute_workflow("Job", 0, id="beside", **options))

    assert asyncio.run(both()) == ["unblocked", "done"]
    assert workers.pid("shell") == pid
    reason = workers.events("unhealthy", "shell")[-1]["reason"]
    assert "it answers no workflow task (beside) while it runs blocking" in reason
    assert "asyncio.to_thread" in workers.events("unhealthy", "shell")[-1]["fix"]
    workers.write("mika.toml", settings())
    workers.ok("restart", "shell", "--force")


def test_a_worker_that_is_connected_to_another_server(workers, tmp_path):
    with TemporalServer(tmp_path, in_memory=True) as other:
        workers.write("mika.toml", settings(ELSEWHERE=other.port))
        workers.error("restart", "media", "--force", "--timeout", "1", code=1)
        place = f"but to 127.0.0.1:{other.port}"
        said = poll_until(lambda: (text := workers.mika("status").out) and place in text and text, 60, place, step=0.5)
        assert f"it is not connected to Temporal at 127.0.0.1:{workers.env['TEMPORAL_PORT']}, {place}" in said
        assert "let it connect to the address in TEMPORAL_ADDRESS" in workers.mika("doctor").out
    workers.write("mika.toml", settings())
    workers.ok("restart", "media", "--force")


def test_a_worker_that_polls_in_another_namespace(workers):
    workers.write("mika.toml", settings(NAMESPACE="other"))
    workers.error("restart", "media", "--force", "--timeout", "1", code=1)
    place = "in the namespace other, and not in default"
    said = poll_until(lambda: (text := workers.mika("status").out) and place in text and text, 60, place, step=0.5)
    assert "let it use TEMPORAL_NAMESPACE" in said
    workers.write("mika.toml", settings())
    workers.ok("restart", "media", "--force")


def test_what_a_worker_does_not_poll_is_named(workers):
    """A type of tasks, or one of its queues. It is the last one here: the stack is not ready after it."""
    workers.write("printer.py", PRINTER)
    workers.write("mika.toml", settings(only="activities", queues="encoding printing"))
    workers.error("restart", "queued", "media", "--force", "--timeout", "1", code=1)
    for reason in (
        "it polls jobs, but not for workflow tasks",
        "it does not poll publishing yet",
        "it polls printing, and not publishing",
    ):
        said = lambda reason=reason: reason in workers.error("wait", "--timeout", "0.3", code=1).err  # noqa: E731
        poll_until(said, 60, reason, step=0.3)
    assert "correct the queue in `ready` of [process.media], or in its code" in workers.mika("status").out


HOST = f"temporal-{'x' * 60}"  # so long that no network is asked for it
REFUSED = f"""
import asyncio
from temporalio.client import Client

asyncio.run(Client.connect("{HOST}:7233"))
"""
# What Python writes when a thread of the SDK comes too late; the real one sometimes dies again while it writes that.
CRASH = r"""
import os

class Late:
    def __del__(self, write=os.write, abort=os.abort):
        write(2, b"Fatal Python error: PyGILState_Release: thread state 0x1 must be current when releasing\n"
                 b"Python runtime state: finalizing (tstate=0x2)\n\nThread 0x3 (most recent call first):\n"
                 b"  <no Python frame>\n")
        abort()

late = Late()
"""


def test_a_host_name_of_compose_is_named_and_not_tried_for_ever(project):
    """Instead of six restarts, each with a dump of the SDK's Rust part; a crash of that at the end hides nothing."""
    this = project(scripts={"jobs": (CRASH if POSIX else "") + REFUSED}, toml='[process.jobs]\nready = "log:never"\n')
    up = this.mika("up", "-d")
    assert up.code == 1
    text = f"the host name `{HOST}` cannot be resolved here: that of a compose service exists only inside compose"
    assert f"jobs gave up: {text}; another attempt would fail the same way" in up.err
    assert "connect to the address in TEMPORAL_ADDRESS" in up.err
    assert [event["code"] for event in this.events("exited", "jobs")] == ([-6, -6] if POSIX else [1, 1])
