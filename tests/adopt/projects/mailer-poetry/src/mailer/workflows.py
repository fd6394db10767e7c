from datetime import timedelta

from temporalio import workflow

from .activities import send


@workflow.defn
class Mail:
    @workflow.run
    async def run(self, address: str) -> str:
        return await workflow.execute_activity(send, address, start_to_close_timeout=timedelta(seconds=10))
