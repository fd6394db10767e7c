from temporalio import workflow


@workflow.defn
class Job:
    @workflow.run
    async def run(self) -> str:
        return "done"
