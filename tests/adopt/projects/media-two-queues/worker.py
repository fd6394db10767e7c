import asyncio
import os

from temporalio.client import Client
from temporalio.worker import Worker

from flows import Encode, Publish


async def main() -> None:
    client = await Client.connect(os.getenv("TEMPORAL_ADDRESS", "localhost:7233"))
    workers = [
        Worker(client, task_queue="encoding", workflows=[Encode]),
        Worker(client, task_queue="publishing", workflows=[Publish]),
    ]
    await asyncio.gather(*(worker.run() for worker in workers))


if __name__ == "__main__":
    asyncio.run(main())
