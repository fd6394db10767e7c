"""A process that lives and does nothing is found, killed and replaced; one that is idle, busy or suspended is not.

MIKA_TEST_LONG=1 uses the times of the promise (30 s of work, 60 s idle, 15 s asleep) instead of short ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, FreePort, poll_until
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


def make_bot(parent: Path, **env: str) -> Bot:
    # With the default of 30 s the tests of a blocked workflow would wait as long.
    env = {"WORKFLOW_TASK_TIMEOUT": "5", "WORKFLOW_RUN_TIMEOUT": "100", **env}
    bot = Bot(parent, procfile=f"{API}worker: python faulty.py\n", env=env)
    bot.write("faulty.py", FAULTY)
    return bot


@pytest.fixture(scope="module")
def _shared_faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with make_bot(tmp_path_factory.mktemp("hangs")) as bot:
        bot.up()
        yield bot


@pytest.fixture
def faulty(_shared_faulty: Bot) -> Bot:
    """The stack with the faulty worker, ready. Shared: a start costs seconds."""
    _shared_faulty.wait_ready()
    (_shared_faulty.folder / "busy").unlink(missing_ok=True)
    return _shared_faulty


def replaced_after(bot: Project, name: str, pid: int, since: float) -> float:
    """Seconds from `since` (epoch) until the successor of process `pid` was started."""
    entry = bot.wait_replaced(name, pid, timeout=60)
    started = [event for event in bot.events("started", name) if event["pid"] == entry["pid"]]
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


@pytest.mark.parametrize("kind", ["activity", "workflow", "activity-gil", "workflow-gil"])
def test_a_blocked_worker_is_found_and_its_message_answered(faulty, kind):
    pid = faulty.pid("worker")
    poll_until((faulty.folder / ".mika/run/worker.beat").exists, DEADLINE, "the first beat")
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
    pid = faulty.pid("worker")
    with ThreadPoolExecutor() as pool:
        reply = pool.submit(answered, faulty, "busy 2")
        poll_until((faulty.folder / "busy").exists, DEADLINE, "a message in flight")
        suspended = time.time()
        os.kill(pid, signal.SIGSTOP)
        assert replaced_after(faulty, "worker", pid, suspended) <= FOUND_WITHIN
        assert "busy 2" in reply.result()


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
            'echo', text, schedule_to_close_timeout=timedelta(seconds=90), start_to_close_timeout=timedelta(seconds=8))

async def main():
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}")
    await Worker(client, task_queue='mika-bot-task-queue', workflows=[Echo], activities=[echo]).run()

if __name__ == '__main__':
    asyncio.run(main())
"""


def test_a_worker_without_a_beat_is_found_by_the_task_that_it_does_not_answer(tmp_path):
    """A worker that knows nothing of mika; also while it is idle for long, it is left alone."""
    with Bot(tmp_path, procfile="worker: python plain.py\n") as bot:
        bot.write("plain.py", PLAIN)
        bot.up()
        pid = bot.pid("worker")

        async def messages() -> list[str]:
            client = await Client.connect(f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}")
            options = {"task_queue": "mika-bot-task-queue", "task_timeout": timedelta(seconds=TASK_TIMEOUT)}
            first = await client.start_workflow("Echo", "block", id="first", **options)
            deadline = time.monotonic() + DEADLINE
            while not (bot.folder / "blocked").exists():
                assert time.monotonic() < deadline, "the activity does not start"
                await asyncio.sleep(0.05)
            # The task that nobody answers: a blocked activity alone could as well be a slow one.
            second = await client.start_workflow("Echo", "second", id="second", **options)
            return [await handle.result() for handle in (first, second)]

        with ThreadPoolExecutor() as pool:
            replies = pool.submit(asyncio.run, messages())
            blocked = poll_until((bot.folder / "blocked").stat, DEADLINE, "the block").st_mtime
            assert TASK_TIMEOUT <= replaced_after(bot, "worker", pid, blocked) <= TASK_TIMEOUT + FOUND_WITHIN
            assert replies.result() == ["block", "second"]
        assert "did not answer it in time (second)" in bot.events("unhealthy", "worker")[0]["reason"]
        assert not (bot.folder / ".mika" / "run" / "worker.beat").exists()


# --- the API ----------------------------------------------------------------------------------------------------------

API_FOUND_WITHIN = 15.0  # s: it is allowed 10 s without an answer


def test_an_api_that_accepts_and_does_not_answer_is_replaced(faulty):
    pid = faulty.pid("api")
    suspended = time.time()
    os.kill(pid, signal.SIGSTOP)
    assert replaced_after(faulty, "api", pid, suspended) <= API_FOUND_WITHIN
    assert "after the API" in answered(faulty, "after the API")


APP = """
async def app(scope, receive, send):
    while scope['type'] == 'lifespan':
        message = await receive()
        await send({'type': message['type'] + '.complete'})
        if message['type'] == 'lifespan.shutdown':
            return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'ok'})
"""


def test_uvicorn_reload_whose_child_died_is_restarted(tmp_path):
    """The reloader lives and its socket still accepts, but nobody is there to answer."""
    port = FreePort()
    try:
        procfile = f"web: python -m uvicorn app:app --reload --port {port.number}\n"
        toml = f'[process.web]\nready = "http://127.0.0.1:{port.number}/"\n'
        with Project(tmp_path, procfile, toml=toml) as this:
            this.write("app.py", APP)
            this.up()
            pid = this.pid("web")
            children = [one for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline())]
            assert len(children) == 1
            died = time.time()
            children[0].kill()
            assert replaced_after(this, "web", pid, died) <= API_FOUND_WITHIN
    finally:
        port.release()


# --- healthy ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _shared_touchy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with make_bot(tmp_path_factory.mktemp("touchy"), **({} if LONG else {"MIKA_HANG_TIMEOUT": "2.5"})) as bot:
        bot.up()
        poll_until((bot.folder / ".mika/run/worker.beat").exists, DEADLINE, "the first beat")
        yield bot


@pytest.fixture
def touchy(_shared_touchy: Bot) -> Iterator[Bot]:
    """A stack that calls a short silence a hang, so that a short test shows what a long one would.

    At the end it must be as it was: nothing was found unhealthy, nothing was replaced.
    """
    _shared_touchy.wait_ready()
    (_shared_touchy.folder / "busy").unlink(missing_ok=True)
    before, hung = pids(_shared_touchy), _shared_touchy.events("unhealthy")
    yield _shared_touchy
    assert pids(_shared_touchy) == before
    assert _shared_touchy.events("unhealthy") == hung


def pids(bot: Project) -> dict[str, int]:
    return {unit["name"]: unit["pid"] for unit in bot.status()["processes"]}


def stays(bot: Project, before: dict[str, int], seconds: float) -> None:
    """For so long nothing must happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert pids(bot) == before, bot.log_tail()
        time.sleep(0.5)


def test_an_idle_worker_is_not_hung(touchy):
    stays(touchy, pids(touchy), 60 if LONG else 8)
    assert "still here" in answered(touchy, "still here")


def test_a_busy_worker_is_not_hung(touchy):
    said = touchy.log("worker")
    seconds = 30 if LONG else 8
    assert f"busy {seconds}" in answered(touchy, f"busy {seconds}")
    assert "Timeout (" not in touchy.log("worker").removeprefix(said)


@pytest.mark.parametrize("who", ["the supervisor", "everything"])
def test_a_laptop_that_slept_has_no_hung_processes(touchy, who):
    """The clock jumps, and no beat came meanwhile: that is nobody's fault."""
    before = pids(touchy)
    supervisor = psutil.Process(touchy.status()["supervisor"]["pid"])
    asleep = [supervisor] if who == "the supervisor" else [supervisor, *supervisor.children(recursive=True)]
    try:
        for process in asleep:
            process.suspend()
        time.sleep(15 if LONG else 8)  # the sleep itself
    finally:
        for process in asleep:  # the supervisor first: it looks before the others can have done anything
            process.resume()
    stays(touchy, before, 12 if LONG else 6)
    assert "awake" in answered(touchy, "awake")


def test_a_breakpoint_with_hang_detection_off_is_not_hung(tmp_path):
    with make_bot(tmp_path, MIKA_HANG_TIMEOUT="0") as bot:
        bot.up()
        before = pids(bot)
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        try:
            stays(bot, before, 14)  # more than both patiences, of the worker and of the API
        finally:
            for pid in before.values():
                os.kill(pid, signal.SIGCONT)
        assert "after the breakpoint" in answered(bot, "after the breakpoint")
        assert pids(bot) == before
