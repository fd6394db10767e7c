"""The end of a task."""

from __future__ import annotations

import asyncio

from mika import tasks


def test_one_that_swallows_its_cancellation_ends_all_the_same():
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await tasks.cancel(task)
        assert task.cancelled()

    asyncio.run(main())
    assert swallowed == 3


def test_one_that_has_failed_is_no_unseen_error():
    async def fails() -> None:
        raise ValueError

    async def main() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await tasks.cancel(task)
        assert task.done()

    asyncio.run(main())
