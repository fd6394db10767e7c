"""Programs with workflows to start and to talk to: one plain, one with a codec, pydantic, and a start of its own."""

from __future__ import annotations

PLAIN = """
import asyncio, os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

@dataclass
class Order:
    id: str
    quantity: int = 1

@activity.defn
async def remind(who: str) -> str:
    with open(f"{who}.txt", "a") as file:
        file.write("x")
    return f"reminded {who}"

@workflow.defn
class Reminder:
    'Reminds somebody later.'

    def __init__(self):
        self.heard = []

    @workflow.run
    async def run(self, who: str, days: int = 20) -> str:
        await asyncio.sleep(days * 86400)
        answer = await workflow.execute_activity(remind, who, start_to_close_timeout=timedelta(seconds=60))
        await asyncio.sleep(days * 86400)
        return answer

    @workflow.signal
    def say(self, what: str) -> None:
        self.heard.append(what)

    @workflow.update
    async def add(self, order: Order) -> int:
        self.heard.append(order.id)
        return len(self.heard)

    @workflow.query
    def so_far(self) -> list[str]:
        return self.heard

@workflow.defn
class Buy:
    @workflow.run
    async def run(self, order: Order) -> Order:
        if order.quantity > 9:
            raise ApplicationError("too many", type="TooMany", non_retryable=True)
        return Order(order.id + "!", order.quantity + 1)

@workflow.defn
class Both:
    @workflow.run
    async def run(self) -> str:
        return workflow.info().task_queue

@workflow.defn(dynamic=True)
class Whatever:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> list[str]:
        return [workflow.info().workflow_type, *(arg.payload.data.decode() for arg in args)]

async def main():
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}")
    cheap = {"workflow_runner": UnsandboxedWorkflowRunner(), "build_id": "kit"}  # else a worker reads every module
    first = Worker(client, task_queue="plain", workflows=[Reminder, Buy, Both], activities=[remind], **cheap)
    second = Worker(client, task_queue="second", workflows=[Both, Whatever], **cheap)
    await asyncio.gather(first.run(), second.run())

if __name__ == "__main__":
    asyncio.run(main())
"""

CODED = """
import asyncio, dataclasses, os
from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadCodec
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

class Turn(PayloadCodec):
    async def encode(self, payloads):
        return [Payload(metadata={"encoding": b"binary/turned"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads):
        return [Payload.FromString(p.data[::-1]) for p in payloads]

class Secret(BaseModel):
    word: str
    strength: int = Field(default=1, gt=0)

@workflow.defn
class Keep:
    def __init__(self):
        self.secrets = []

    @workflow.run
    async def run(self, secret: Secret, until: int) -> Secret:
        self.secrets.append(secret)
        await workflow.wait_condition(lambda: len(self.secrets) >= until)
        return self.secrets[-1]

    @workflow.signal
    def more(self, secret: Secret) -> None:
        self.secrets.append(secret)

    @workflow.update
    async def count(self) -> int:
        return len(self.secrets)

    @workflow.query
    def first(self) -> Secret:
        return self.secrets[0]

@workflow.defn
class Boot:
    @workflow.run
    async def run(self) -> None: ...

async def main():
    converter = dataclasses.replace(pydantic_data_converter, payload_codec=Turn())
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}", data_converter=converter)
    await client.start_workflow("Boot", id=f"boot-{os.getpid()}", task_queue="coded")
    runner = UnsandboxedWorkflowRunner()
    await Worker(client, task_queue="coded", workflows=[Keep, Boot], workflow_runner=runner, build_id="kit").run()

if __name__ == "__main__":
    asyncio.run(main())
"""

RULES = """
[process.plain]
ready = "worker:plain"
[process.coded]
ready = "worker:coded"
"""
