import asyncio
import contextlib
import os

from fastapi import FastAPI
from temporalio.client import Client

import tasks


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = await Client.connect(
        os.getenv("TEMPORAL_HOST_URL", os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    )
    polling = asyncio.create_task(tasks.make_worker(app.state.client).run())
    yield
    polling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await polling


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def readyz() -> dict[str, bool]:
    return {"ready": True}


@app.post("/notes")
async def note(text: str) -> dict[str, str]:
    return {"note": await app.state.client.execute_workflow("Note", text, id="note", task_queue=tasks.QUEUE)}
