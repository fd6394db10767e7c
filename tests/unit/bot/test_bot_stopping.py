"""What a caller hears when the API is stopped while it waits."""

import asyncio

import pytest

from src.api.problems import Problem
from src.api.service import MessageService
from src.config import Settings
from src.messages import IncomingMessage


class NeverAnswers:
    """A client whose server takes every call and returns none."""

    async def start_workflow(self, *_args, **_options):
        await asyncio.Event().wait()


def test_a_stopped_api_says_that_nothing_is_lost():
    async def stopped_while_waiting():
        service = MessageService(NeverAnswers(), Settings())
        waiting = asyncio.create_task(service.answer(IncomingMessage("u", "hello"), "process_message_1"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(Problem) as caught:
            await waiting
        return caught.value

    problem = asyncio.run(stopped_while_waiting())
    assert (problem.code, problem.workflow_id) == ("api_stopping", "process_message_1")
    assert problem.response().status_code == 503
