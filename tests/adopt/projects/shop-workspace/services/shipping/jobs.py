from temporalio import workflow


@workflow.defn
class Shipping:
    @workflow.run
    async def run(self, order: str) -> str:
        return f"shipping of {order}"
