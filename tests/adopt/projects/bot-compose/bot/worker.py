import asyncio
import os

from temporalio.client import Client
from temporalio.worker import Worker

from bot.jobs import Reply


async def main():
    client = await Client.connect(os.getenv("TEMPORAL_ADDRESS", "temporal:7233"))
    await Worker(client, task_queue=os.getenv("BOT_QUEUE", "bot-messages"), workflows=[Reply]).run()


if __name__ == "__main__":
    asyncio.run(main())
