import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from flows import Greet
from temporalio.client import Client
from temporalio.worker import Worker


@asynccontextmanager
async def lifespan(_):
    client = await Client.connect(os.getenv("TEMPORAL_ADDRESS", "127.0.0.1:7233"))
    async with Worker(client, task_queue=os.getenv("TEMPORAL_TASK_QUEUE", "greetings"), workflows=[Greet]):
        yield


class AddHeader:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


fastapi_app = FastAPI(lifespan=lifespan)


@fastapi_app.get("/")
def hello():
    return "hello"


app = AddHeader(fastapi_app)
