"""A bot's API as it is often written: the handler awaits the workflow. `benchmarks.messages` compares with it."""

from __future__ import annotations

import os
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from temporalio.client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}")
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/webhook/langbot")
async def webhook(request: Request) -> Any:
    """Answers with the workflow's result; whatever goes wrong is a 500."""
    body = await request.json()
    return await request.app.state.client.execute_workflow(
        "ProcessMessageWorkflow",
        {"user_id": body["user_id"], "message": body["message"]},
        id=f"process_message_{uuid.uuid4().hex}",
        task_queue="mika-bot-task-queue",
        run_timeout=timedelta(seconds=60),
    )
