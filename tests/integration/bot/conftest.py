"""One Temporal server for the tests of this folder, and one bot for those that need no settings of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.runs import Running
from tests.kit.stub_http import StubServer


@pytest.fixture(scope="package")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    with TemporalServer(tmp_path_factory.mktemp("temporal"), in_memory=True) as server:
        yield server


@pytest.fixture(scope="package")
def _model() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


@pytest.fixture(scope="package")
def _shared_model_bot(
    tmp_path_factory: pytest.TempPathFactory, temporal: TemporalServer, _model: StubServer
) -> Iterator[BotProcesses]:
    folder = tmp_path_factory.mktemp("bot")
    settings = {"LLM_BASE_URL": f"{_model.url}/v1", "LLM_API_KEY": "sk-secret-key"}
    with BotProcesses(folder, temporal.port, **settings) as bot:
        bot.start_api()
        yield bot


@pytest.fixture
def llm(_model: StubServer) -> StubServer:
    """The model of `llm_bot`; a test may plan its answers."""
    _model.reset()
    return _model


@pytest.fixture
def llm_bot(_shared_model_bot: BotProcesses, llm: StubServer) -> Iterator[BotProcesses]:
    """A bot with an empty memory and no message under way. Its API runs and is shared; `worker` is its worker."""
    _shared_model_bot.forget()
    yield _shared_model_bot
    llm.reset()  # lets go what it holds
    asyncio.run(_terminate_all(_shared_model_bot))


@pytest.fixture
def idle_bot(llm_bot: BotProcesses) -> Iterator[BotProcesses]:
    """The same without a worker: a test starts its own, which is killed at its end."""
    _, *workers = llm_bot.started
    for process in workers:
        process.kill()
    yield llm_bot
    for process in llm_bot.started[1 + len(workers) :]:
        process.kill()


async def _terminate_all(bot: BotProcesses) -> None:
    client = await Client.connect(f"127.0.0.1:{bot.temporal_port}")
    async for found in client.list_workflows(f"ExecutionStatus = 'Running' AND TaskQueue = '{bot.queue}'"):
        with contextlib.suppress(RPCError):  # it has just completed
            await client.get_workflow_handle(found.id).terminate("its test is over")


@pytest.fixture
def worker(llm_bot: BotProcesses) -> Running:
    """The one worker; a test that suspends it kills it, too."""
    alive = [process for process in llm_bot.started[1:] if process.popen.poll() is None]
    if len(alive) == 1:
        return alive[0]
    for process in alive:
        process.kill()
    return llm_bot.start_worker()
