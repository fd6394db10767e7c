from temporalio import activity


@activity.defn
async def send(address: str) -> str:
    return f"sent to {address}"
