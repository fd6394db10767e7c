"""The monitor of the engine, without one: what it does when it cannot look."""

from __future__ import annotations

import asyncio

from mika.backends.docker.monitor import Monitor


def test_it_ends_though_something_happens_in_the_same_moment():
    """With `asyncio.wait_for` it would forget that it was cancelled (python/cpython#86296), and hang at the end."""

    async def main() -> None:
        monitor = Monitor(None, "p", {"DOCKER_HOST": "tcp://127.0.0.1:1"})  # type: ignore[arg-type]
        await monitor.start()
        await asyncio.sleep(0.05)  # it waits for the next second, or a request
        monitor.request_refresh()
        async with asyncio.timeout(5):
            await monitor.close()

    asyncio.run(main())
