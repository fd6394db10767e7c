from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "notes"


@workflow.defn
class Note:
    @workflow.run
    async def run(self, text: str) -> str:
        return f"noted {text}"


def make_worker(client: Client) -> Worker:
    return Worker(client, task_queue=QUEUE, workflows=[Note])
