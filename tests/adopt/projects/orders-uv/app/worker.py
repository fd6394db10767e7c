import asyncio

from temporalio.client import Client
from temporalio.worker import Worker

from app.settings import ADDRESS, TASK_QUEUE
from app.workflows import OrderWorkflow, charge


async def main() -> None:
    client = await Client.connect(ADDRESS)
    await Worker(client, task_queue=TASK_QUEUE, workflows=[OrderWorkflow], activities=[charge]).run()


if __name__ == "__main__":
    asyncio.run(main())
