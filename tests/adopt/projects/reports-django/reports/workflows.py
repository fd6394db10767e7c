from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from reports.models import Report


@activity.defn
def store(title: str) -> str:
    return f"stored {Report.objects.create(title=title).title}"


@workflow.defn
class ReportWorkflow:
    @workflow.run
    async def run(self, title: str) -> str:
        return await workflow.execute_activity(store, title, start_to_close_timeout=timedelta(seconds=10))
