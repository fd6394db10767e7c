"""The worker of QUEUES (a comma list) at ADDRESS."""

import asyncio
import os

from bed import flows, steps
from temporalio.client import Client
from temporalio.worker import Worker


async def main() -> None:
    identity = os.environ.get("MIKA_WORKER_IDENTITY") or os.environ.get("IDENTITY", "nobody")
    client = await Client.connect(os.environ["ADDRESS"], identity=identity)
    workers = [
        Worker(
            client,
            task_queue=queue,
            workflows=flows.ALL,
            activities=steps.ALL,
            build_id="bed",  # else each worker reads every module
            max_concurrent_workflow_task_polls=2,
            max_concurrent_activity_task_polls=1,
        )
        for queue in os.environ["QUEUES"].split(",")
    ]
    print("polling", flush=True)
    await asyncio.gather(*(worker.run() for worker in workers))


if __name__ == "__main__":
    asyncio.run(main())
