"""A process that lives and does nothing is found, killed and replaced; one that is idle, busy or suspended is not.

MIKA_TEST_LONG=1 uses the times of the promise (30 s of work, 60 s idle, 15 s asleep) instead of short ones, and blocks
a worker in each of four ways, not in two.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psutil
import pytest
from temporalio.client import Client

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, FreePort, free_port, poll_until
from tests.kit.programs import ASGI, BEATING, SERVER
from tests.kit.project import Project

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="SIGSTOP; tests/windows has its own hangs"),
    pytest.mark.timeout(240),
]

LONG = bool(os.environ.get("MIKA_TEST_LONG"))
FOUND_WITHIN = 10.0  # s, the promise; with the default patience of 5 s it takes about 6
API = "api: python -m uvicorn src.api.main:app --host $API_HOST --port $API_PORT --timeout-graceful-shutdown 5\n"
# The bot's own worker, in which a message can block what runs it, once: the file says when.
FAULTY = """
import asyncio, ctypes, pathlib, sys, time
import src.llm, src.messages
import src.workers.temporal_worker as worker

def once(name):
    try:
        pathlib.Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def blocked_here(kind):
    if kind.endswith('gil'):
        ctypes.PyDLL(None).sleep(600)  # C code that keeps the interpreter's lock
    else:
        time.sleep(600)

async def answer(self, message, history, **more):
    kind, _, seconds = message.partition(' ')
    if kind.startswith('activity') and once(kind):
        blocked_here(kind)
    if kind == 'busy' and once(kind):
        await asyncio.sleep(float(seconds))
    return await offline(self, message, history, **more)

def in_workflow(message, **more):
    kind = message.partition(' ')[0]
    if kind.startswith('workflow') and once(kind):
        blocked_here(kind)
    return question(message, **more)

offline, src.llm.OfflineLlm.answer = src.llm.OfflineLlm.answer, answer
question, src.messages.Question = src.messages.Question, in_workflow
sys.exit(worker.main())
"""
TASK_TIMEOUT = 4
"""Seconds: before, a worker that says nothing of its event loop is not hung."""
PLAIN = """
import asyncio, os, pathlib, time
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

@activity.defn
async def echo(text: str) -> str:
    if text == 'block' and not pathlib.Path('blocked').exists():
        pathlib.Path('blocked').touch()
        time.sleep(600)
    return text

@workflow.defn
class Echo:
    @workflow.run
    async def run(self, text: str) -> str:
        return await workflow.execute_activity(
            'echo', text, schedule_to_close_timeout=timedelta(seconds=90), start_to_close_timeout=timedelta(seconds=4))

async def main():
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}")
    await Worker(client, task_queue='plain', workflows=[Echo], activities=[echo], build_id='kit').run()

if __name__ == '__main__':
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def _shared_faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """The bot, and beside it a worker that knows nothing of mika, and an app under a reloader."""
    port = FreePort()
    procfile = f"{API}worker: python faulty.py\nplain: python plain.py\n"
    procfile += f"web: python -m uvicorn app:app --reload --port {port.number}\n"
    rules = {"plain": "worker:plain", "web": f"http://127.0.0.1:{port.number}/"}
    toml = "".join(f'[process.{name}]\nready = "{rule}"\n' for name, rule in rules.items())
    # With the default of 30 s the tests of a blocked workflow would wait as long.
    env = {"WORKFLOW_TASK_TIMEOUT": "8", "WORKFLOW_RUN_TIMEOUT": "100"}
    try:
        with Bot(tmp_path_factory.mktemp("hangs"), procfile=procfile, toml=toml, env=env) as bot:
            for name, program in {"faulty": FAULTY, "plain": PLAIN, "app": ASGI}.items():
                bot.write(f"{name}.py", program)
            bot.up()
            yield bot
    finally:
        port.release()


@pytest.fixture
def faulty(_shared_faulty: Bot) -> Bot:
    """That stack, ready. Shared: a start costs seconds."""
    _shared_faulty.wait_ready()
    poll_until((_shared_faulty.folder / ".mika/run/worker.beat").exists, DEADLINE, "the first beat")
    (_shared_faulty.folder / "busy").unlink(missing_ok=True)
    return _shared_faulty


def replaced_after(bot: Project, name: str, pid: int, since: float) -> float:
    """Seconds from `since` (epoch) until the successor of process `pid` was started."""

    def successor() -> int | None:
        entry = bot.unit(name)
        return entry["pid"] if entry["state"] == "ready" and entry["pid"] != pid else None

    new = poll_until(successor, 60, f"{name} is ready again", step=0.5)
    started = [event for event in bot.events("started", name) if event["pid"] == new]
    assert not psutil.pid_exists(pid), "the old one is killed before the new one starts"
    seconds = started[-1]["at"] - since
    print(f"\n{name}: hung, killed and replaced in {seconds:.1f} s")
    return seconds


def answered(bot: Bot, message: str) -> str:
    """The reply to a message that is retried as its sender would, under one id."""
    return poll_until(
        lambda: (reply := bot.post(message, message_id=message)).status_code == 200 and reply.json()["response"],
        90,
        f"an answer to {message!r}",
        step=0.3,
    )


# --- hung -------------------------------------------------------------------------------------------------------------

# What runs the messages' steps or that of their workflows, held by Python or by C code that keeps its lock.
BLOCKED = ["activity-gil", "workflow", *(["activity", "workflow-gil"] if LONG else [])]


@pytest.mark.parametrize("kind", BLOCKED)
def test_a_blocked_worker_is_found_and_its_message_answered(faulty, kind):
    pid = faulty.pid("worker")
    with ThreadPoolExecutor() as pool:
        reply = pool.submit(answered, faulty, f"{kind} in flight")
        blocked = poll_until((faulty.folder / kind).stat, DEADLINE, "the block").st_mtime
        assert replaced_after(faulty, "worker", pid, blocked) <= FOUND_WITHIN
        assert f"{kind} in flight" in reply.result()
    # (Workflow code runs in a thread of its own, so there only the thread is blocked, but with it all other messages.)
    assert "no beat" in faulty.events("unhealthy", "worker")[-1]["reason"]
    stacks = faulty.log("worker").rpartition("Timeout (")[2]
    assert "in blocked_here" in stacks, "where it hangs stands in its log"


def test_a_suspended_worker_is_found_and_its_message_answered(faulty):
    """What the API says of it meanwhile, if its caller has to wait that long: test_bot_messages."""
    pid = faulty.pid("worker")
    suspended = time.time()
    os.kill(pid, signal.SIGSTOP)
    first = faulty.post("stuck").json()
    assert replaced_after(faulty, "worker", pid, suspended) <= FOUND_WITHIN
    assert "no beat" in faulty.events("unhealthy", "worker")[-1]["reason"]
    found = faulty.ended(first["workflow_id"])
    assert found["status"] == "completed", found
    assert "stuck" in found["response"]


def test_a_worker_without_a_beat_is_found_by_the_task_that_it_does_not_answer(faulty):
    """A worker that knows nothing of mika."""
    pid = faulty.pid("plain")

    async def messages() -> list[str]:
        client = await Client.connect(f"127.0.0.1:{faulty.ports['TEMPORAL_PORT']}")
        options = {"task_queue": "plain", "task_timeout": timedelta(seconds=TASK_TIMEOUT)}
        first = await client.start_workflow("Echo", "block", id="first", **options)
        deadline = time.monotonic() + DEADLINE
        while not (faulty.folder / "blocked").exists():
            assert time.monotonic() < deadline, "the activity does not start"
            await asyncio.sleep(0.05)
        # The task that nobody answers: a blocked activity alone could as well be a slow one.
        second = await client.start_workflow("Echo", "second", id="second", **options)
        return [await handle.result() for handle in (first, second)]

    with ThreadPoolExecutor() as pool:
        replies = pool.submit(asyncio.run, messages())
        blocked = poll_until((faulty.folder / "blocked").stat, DEADLINE, "the block").st_mtime
        assert TASK_TIMEOUT <= replaced_after(faulty, "plain", pid, blocked) <= TASK_TIMEOUT + FOUND_WITHIN
        assert replies.result() == ["block", "second"]
    assert "did not answer it in time (second)" in faulty.events("unhealthy", "plain")[0]["reason"]
    assert not (faulty.folder / ".mika" / "run" / "plain.beat").exists()


API_FOUND_WITHIN = 20.0  # s: it is allowed 10 s without an answer, which is asked for every 2 s


def test_what_accepts_and_does_not_answer_is_replaced(faulty):
    """An API that is suspended, and uvicorn's reloader whose child died: it lives, and nobody is there to answer."""
    before = pids(faulty)
    children = [one for one in psutil.Process(before["web"]).children() if "spawn_main" in " ".join(one.cmdline())]
    assert len(children) == 1
    since = time.time()
    os.kill(before["api"], signal.SIGSTOP)
    children[0].kill()
    assert replaced_after(faulty, "api", before["api"], since) <= API_FOUND_WITHIN
    assert replaced_after(faulty, "web", before["web"], since) <= API_FOUND_WITHIN
    assert "after the API" in answered(faulty, "after the API")


# --- healthy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def healthy(faulty: Bot) -> Iterator[Bot]:
    """At the end it must be as it was: nothing was found unhealthy, nothing was replaced."""
    before, hung = pids(faulty), unhealthy(faulty)
    yield faulty
    assert pids(faulty) == before
    assert unhealthy(faulty) == hung


def unhealthy(bot: Project) -> list[dict[str, Any]]:
    """Without those of `plain`: whether it works, only Temporal can tell, and that may have slept, too."""
    return [event for event in bot.events("unhealthy") if event["name"] != "plain"]


def pids(bot: Project) -> dict[str, int]:
    return {unit["name"]: unit["pid"] for unit in bot.status()["processes"]}


def stays(bot: Project, before: dict[str, int], seconds: float) -> None:
    """For so long nothing must happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert pids(bot) == before, bot.log_tail()
        time.sleep(0.5)


def test_an_idle_worker_is_not_hung(healthy):
    """Neither one that knows nothing of mika."""
    stays(healthy, pids(healthy), 60 if LONG else 8)
    assert "still here" in answered(healthy, "still here")


def test_a_busy_worker_is_not_hung(healthy):
    said = healthy.log("worker")
    seconds = 30 if LONG else 8
    assert f"busy {seconds}" in answered(healthy, f"busy {seconds}")
    assert "Timeout (" not in healthy.log("worker").removeprefix(said)


@pytest.mark.parametrize("who", ["the supervisor", "everything"])
def test_a_laptop_that_slept_has_no_hung_processes(healthy, who):
    """The clock jumps, and no beat came meanwhile: that is nobody's fault."""
    before = pids(healthy)
    supervisor = psutil.Process(healthy.status()["supervisor"]["pid"])
    asleep = [supervisor] if who == "the supervisor" else [supervisor, *supervisor.children(recursive=True)]
    try:
        for process in asleep:
            process.suspend()
        time.sleep(15 if LONG else 8)  # the sleep itself
    finally:
        for process in asleep:  # the supervisor first: it looks before the others can have done anything
            process.resume()
    stays(healthy, before, 12 if LONG else 6)
    assert "awake" in answered(healthy, "awake")


def test_a_breakpoint_with_hang_detection_off_is_not_hung(project):
    with free_port() as port:
        address = f"http://127.0.0.1:{port}/ok"
        this = project(
            scripts={"beating": BEATING, "web": SERVER},
            toml=f'[process.web]\nready = "{address}"\n',
            env={"MIKA_HANG_TIMEOUT": "0", "WEB_PORT": str(port)},
        )
        this.up()
        before, beat = pids(this), this.folder / ".mika/run/beating.beat"
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        last = beat.stat().st_mtime_ns
        try:
            stays(this, before, 14)  # more than both patiences, of a beat and of an answer
        finally:
            for pid in before.values():
                os.kill(pid, signal.SIGCONT)
        assert httpx.get(address, trust_env=False).status_code == 200
        poll_until(lambda: beat.stat().st_mtime_ns > last, DEADLINE, "it beats again")
        assert pids(this) == before
