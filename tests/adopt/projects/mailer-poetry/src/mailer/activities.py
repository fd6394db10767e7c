from temporalio import activity


@activity.defn
async def send(address: str) -> None:
    print("sent to", address)
