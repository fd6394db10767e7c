from temporalio import workflow


@workflow.defn
class Reply:
    @workflow.run
    async def run(self, text: str) -> str:
        return text
