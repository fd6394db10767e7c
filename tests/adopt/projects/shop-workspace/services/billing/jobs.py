from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> str:
        return f"billing of {order}"
