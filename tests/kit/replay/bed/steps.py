"""The activities."""

from temporalio import activity


@activity.defn
async def weigh(code: str) -> str:
    return f"{code} weighs {len(code)}"


@activity.defn
async def label(code: str) -> str:
    return f"label for {code}"


@activity.defn
async def deliver(code: str) -> str:
    return f"{code} delivered"


ALL = [weigh, label, deliver]
