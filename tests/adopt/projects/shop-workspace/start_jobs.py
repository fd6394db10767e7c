import asyncio

from temporalio.client import Client


async def main():
    client = await Client.connect("localhost:7233")
    await client.start_workflow("Billing", "one", id="billing-one", task_queue="billing-queue")


if __name__ == "__main__":
    asyncio.run(main())
