import asyncio
import os

from jobs import Shipping
from shared import QUEUE
from temporalio.client import Client
from temporalio.worker import Worker


async def main():
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    async with Worker(client, task_queue=QUEUE, workflows=[Shipping]):
        await asyncio.Event().wait()


asyncio.run(main())
