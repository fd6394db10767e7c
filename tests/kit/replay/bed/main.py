"""A worker for each of QUEUES (a comma list) at ADDRESS, with the workflows of `bed`, or one of each of PACKAGES.

Of the workflows only TYPES, if it is given: the sandbox loads the file again for each. With UNBOXED, there is none.
"""

import asyncio
import importlib
import itertools
import os

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

PACKAGES = [
    (importlib.import_module(f"{name}.flows"), importlib.import_module(f"{name}.steps"))
    for name in os.environ.get("PACKAGES", "bed").split(",")
]
TYPES = os.environ.get("TYPES", "").split(",")


async def main() -> None:
    identity = os.environ.get("MIKA_WORKER_IDENTITY") or os.environ.get("IDENTITY", "nobody")
    client = await Client.connect(os.environ["ADDRESS"], identity=identity)
    workers = [
        Worker(
            client,
            task_queue=queue,
            workflows=[each for each in flows.ALL if TYPES == [""] or each.__name__ in TYPES],
            activities=steps.ALL,
            workflow_runner=UnsandboxedWorkflowRunner() if "UNBOXED" in os.environ else SandboxedWorkflowRunner(),
            build_id="bed",  # else each worker reads every module
            max_concurrent_workflow_task_polls=2,
            max_concurrent_activity_task_polls=1,
        )
        for queue, (flows, steps) in zip(os.environ["QUEUES"].split(","), itertools.cycle(PACKAGES))
    ]
    print("polling", flush=True)
    await asyncio.gather(*(worker.run() for worker in workers))


if __name__ == "__main__":
    asyncio.run(main())
