from temporalio import workflow


@workflow.defn
class Encode:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"encoded {name}"


@workflow.defn
class Publish:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"published {name}"
