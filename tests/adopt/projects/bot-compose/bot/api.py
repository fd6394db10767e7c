import os

from fastapi import FastAPI
from temporalio.client import Client

app = FastAPI()


@app.get("/health")
def health():
    return {"token": bool(os.getenv("BOT_TOKEN"))}


@app.post("/messages")
async def message(text: str):
    client = await Client.connect(os.getenv("TEMPORAL_ADDRESS", "temporal:7233"))
    queue = os.getenv("BOT_QUEUE", "bot-messages")
    return {"reply": await client.execute_workflow("Reply", text, id="reply", task_queue=queue)}
