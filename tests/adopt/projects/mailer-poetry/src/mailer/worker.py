import asyncio

from temporalio.client import Client
from temporalio.worker import Worker

from .activities import send
from .config import settings
from .workflows import Mail


async def run() -> None:
    client = await Client.connect(settings.temporal_address)
    worker = Worker(client, task_queue=settings.mail_queue, workflows=[Mail], activities=[send])
    await worker.run()


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
