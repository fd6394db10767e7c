"""Record histories of the bot's workflow for `tests/histories`: `uv run python -m tests.kit.bot_histories`.

To be done anew only when a change of the workflow is meant to break open runs. Those of a version that is still to fit
keep their names; some of the next one are beside them (`…-turns-in-one-step.json`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError

from src.messages import WORKFLOW, IncomingMessage, ReplyTarget, send_workflow_id
from tests.kit import reaper
from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.langbot_api import OK
from tests.kit.machine import ROOT, poll_until
from tests.kit.stub_http import Answer, StubServer

COURSES = (
    "answered",
    "answered again",
    "replied",
    "retried",
    "refused",
    "apologized",
    "too slow",
    "waiting",
    "sent later",  # the workflow that "waiting" has started
    "run timed out",  # kills the worker
)
FOLDER = ROOT / "tests" / "histories"


def record(folder: Path) -> Iterator[Path]:
    """Write one file for each course that a message can take."""
    with tempfile.TemporaryDirectory() as place, StubServer() as model:
        settings = {
            "LLM_BASE_URL": f"{model.url}/v1",
            "LLM_API_KEY": "sk-test",
            "LANGBOT_API_BASE_URL": model.url,
            "LANGBOT_API_KEY": "lb-test",
        }
        with TemporalServer(Path(place)) as server, BotProcesses(Path(place), server.port, **settings) as bot:
            bot.start_worker()
            for name in COURSES:
                _plan(name, model)
                history = asyncio.run(_run(name, bot, model))
                path = folder / f"{name.replace(' ', '-')}.json"
                path.write_text(json.dumps(_anonymous(json.loads(history)), indent=1) + "\n", encoding="utf-8")
                yield path


def _plan(name: str, model: StubServer) -> None:
    model.reset()
    match name:
        case "replied":
            model.plan += [Answer(), Answer(body=OK)]
        case "retried":
            model.plan.append(Answer(status=503, body={"error": {"message": "busy"}}))
        case "refused":
            model.default = Answer(status=401, body={"error": {"message": "wrong key"}})
        case "apologized":
            model.plan += [Answer(status=401, body={"error": {"message": "wrong key"}}), Answer(body=OK)]
        case "waiting":
            model.plan.append(Answer())
            model.default = Answer(status=503, body={})
        case "sent later":
            model.default = Answer(body=OK)
        case "too slow" | "run timed out":
            model.default = model.holding()


async def _run(name: str, bot: BotProcesses, model: StubServer) -> str:
    client = await Client.connect(f"127.0.0.1:{bot.temporal_port}", identity="the API")
    if name == "sent later":
        sending = client.get_workflow_handle(send_workflow_id("waiting"))
        await sending.result()
        return (await sending.fetch_history()).to_json()
    reply_to = ReplyTarget("bot", "person", "u") if name in {"replied", "apologized", "waiting"} else None
    limit = timedelta(seconds=5 if name == "too slow" else 3 if name == "run timed out" else 60)
    handle = await client.start_workflow(
        WORKFLOW,
        IncomingMessage("u1", "hello", reply_to=reply_to),
        id=name.replace(" ", "-"),  # as the file, from whose name a replay takes it
        task_queue=bot.queue,
        run_timeout=limit,
    )
    if name == "run timed out":
        poll_until(lambda: model.requests, 10, "the question")
        bot.started[-1].kill()
    try:
        await handle.result()
    except WorkflowFailureError as failure:
        print(f"{name}: {failure.cause!r}")
    return (await handle.fetch_history()).to_json()


def _anonymous(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "recorded" if key == "identity" else _anonymous(each)
            for key, each in value.items()
            if key != "stackTrace"
        }
    return [_anonymous(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    reaper.end_with_us()
    FOLDER.mkdir(exist_ok=True)
    for written in record(FOLDER):
        print(written.relative_to(ROOT))
    sys.exit(0)
