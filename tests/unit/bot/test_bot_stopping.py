"""What a caller hears when the API is stopped while it waits."""

import asyncio
from types import SimpleNamespace

import pytest

from src.api.problems import response_to
from src.api.service import MessageService
from src.config import Settings
from src.intake.problems import Problem
from src.messages import IncomingMessage


class Handle:
    id = "process_message_1"

    async def result(self):
        await asyncio.Event().wait()


class Client:
    """A server that takes the message when it `answers`, and then never finishes it."""

    service_client = SimpleNamespace(workflow_service=None)

    def __init__(self, answers):
        self._answers = answers

    async def start_workflow(self, *_args, **_options):
        if self._answers:
            return Handle()
        await asyncio.Event().wait()
        return None


@pytest.mark.parametrize("started", [True, False])
def test_a_stopped_api_says_whether_the_message_is_kept(started):
    async def stopped_while_waiting():
        service = MessageService(Client(answers=started), Settings())
        waiting = asyncio.create_task(service.answer(IncomingMessage("u", "hello"), Handle.id))
        for _ in range(5):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(Problem) as caught:
            await waiting
        return caught.value

    problem = asyncio.run(stopped_while_waiting())
    assert (problem.code, problem.workflow_id) == ("api_stopping", Handle.id if started else None)
    assert ("kept" in problem.detail) == started
    assert ("within 60 s of its arrival (WORKFLOW_RUN_TIMEOUT)" in problem.detail) == started
    assert response_to(problem).status_code == 503
