import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.core.management.base import BaseCommand
from temporalio.client import Client
from temporalio.worker import Worker

from reports.workflows import ReportWorkflow, store


class Command(BaseCommand):
    help = "Poll Temporal for reports."

    def handle(self, *args, **options):
        asyncio.run(self.work())

    async def work(self):
        client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
        worker = Worker(
            client,
            task_queue=settings.TEMPORAL_TASK_QUEUE,
            workflows=[ReportWorkflow],
            activities=[store],
            activity_executor=ThreadPoolExecutor(4),
        )
        await worker.run()
