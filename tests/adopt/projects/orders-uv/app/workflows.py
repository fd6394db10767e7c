from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def charge(order: str) -> str:
    return f"charged {order}"


@workflow.defn
class OrderWorkflow:
    @workflow.run
    async def run(self, order: str) -> str:
        return await workflow.execute_activity(charge, order, start_to_close_timeout=timedelta(seconds=10))
