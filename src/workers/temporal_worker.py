"""The bot's Temporal worker: `python -m src.workers.temporal_worker`.

Ends with 0 when it was asked to stop, 1 when it failed, 2 when only a change of the configuration can help.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from temporalio.service import RPCError
from temporalio.worker import Worker

from src.activities.bot import BotActivities
from src.config import Settings, load_settings_or_exit
from src.history.base import HistoryError
from src.history.factory import make_history
from src.llm import make_llm
from src.logging_setup import configure_logging
from src.temporal import connect, own_identity
from src.workers.beat import WorkflowThreads, beat
from src.workflows.message_workflow import HEARTBEAT_TIMEOUT, ProcessMessageWorkflow

if TYPE_CHECKING:
    from temporalio.client import Client

log = structlog.get_logger("mika.worker")

# An activity that runs when the worker is asked to stop may finish within this; later it is cancelled, and retried
# elsewhere. Whoever stops the worker should kill it only some seconds after this.
GRACEFUL_SHUTDOWN_TIMEOUT = timedelta(seconds=10)
# Under mika it starts while the services are being set up: the server may serve before its namespace is made.
_NAMESPACE_PATIENCE = 30.0
_SAY_EVERY = 5.0


class ConfigurationError(Exception):
    """Starting again will not help."""


class StartError(Exception):
    """What the worker needs did not come in time."""


async def run(settings: Settings) -> None:
    """Work until SIGINT, SIGTERM or (on Windows) SIGBREAK. Raises `ConfigurationError`, `StartError`."""
    stop = _stop_on_signal()
    identity = settings.mika_worker_identity or own_identity("worker")
    # What is slow to import is imported here, before the first beat.
    llm = make_llm(settings)
    try:
        history = make_history(settings)
        if settings.mongodb_url is None:
            await history.ping()  # a file that cannot be opened now will not open later; a server may still come
    except HistoryError as error:
        raise ConfigurationError(str(error)) from None
    beating = None
    threads = WorkflowThreads()
    if settings.mika_beat_file:
        beating = asyncio.create_task(beat(settings.mika_beat_file, settings.mika_hang_timeout, threads.blocked))
    try:
        client = await _wait_for_temporal(settings, identity, stop)
        if client is not None:
            await _work(settings, client, BotActivities(settings, history, llm), threads, stop)
    finally:
        if beating:
            beating.cancel()
        await llm.close()
        await history.close()


async def _work(
    settings: Settings, client: Client, activities: BotActivities, threads: WorkflowThreads, stop: asyncio.Event
) -> None:
    worker = Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=[ProcessMessageWorkflow],
        activities=activities.all(),
        workflow_task_executor=threads,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN_TIMEOUT,
        # No sticky queue: the next step of a message would wait there for a worker that was killed (2 s even when its
        # time-out is set that low). Replaying a history of four steps costs about a millisecond.
        max_cached_workflows=0,
        # By default the SDK sends heartbeats after 80 % of their time-out: one late by half a second is a false alarm.
        max_heartbeat_throttle_interval=HEARTBEAT_TIMEOUT / 4,
    )
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    log.info("worker_started", identity=client.identity, task_queue=settings.temporal_task_queue)
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        log.info("worker_stopping", patience_s=GRACEFUL_SHUTDOWN_TIMEOUT.total_seconds())
        await worker.shutdown()
    await running
    log.info("worker_stopped", identity=client.identity)


async def _wait_for_temporal(settings: Settings, identity: str, stop: asyncio.Event) -> Client | None:
    """A connected client, None when the worker was asked to stop first."""
    deadline = time.monotonic() + settings.temporal_connect_timeout
    said_at, missing_since = -math.inf, math.inf
    what = f"Temporal at {settings.temporal_address}"
    while not stop.is_set():
        try:
            async with asyncio.timeout(RPC_TIMEOUT):
                client = await connect(settings, identity, lazy=False)
                await Temporal(client.service_client, settings.temporal_namespace).describe_namespace()
        except (RPCError, RuntimeError, TimeoutError) as error:
            reason = str(error) or "no answer"
            is_missing = call_error(error) == CallError.NOT_FOUND
        else:
            return client
        now = time.monotonic()
        if is_missing:
            missing_since = min(now, missing_since)
            reason = f"no namespace {settings.temporal_namespace!r}"
            if now - missing_since >= (_NAMESPACE_PATIENCE if settings.mika_worker_identity else 0):
                raise ConfigurationError(
                    f"{what} has {reason}: create it with"
                    f" `temporal operator namespace create -n {settings.temporal_namespace}`,"
                    " or set TEMPORAL_NAMESPACE"
                )
        elif now >= deadline:
            raise StartError(
                f"{what} did not answer within {settings.temporal_connect_timeout:g} s"
                f" (TEMPORAL_HOST, TEMPORAL_PORT): {reason}"
            )
        if now - said_at >= _SAY_EVERY:
            log.warning("waiting_for_temporal", address=settings.temporal_address, error=reason)
            said_at = now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5 if is_missing else 0.1):
                await stop.wait()
    return None


def _stop_on_signal() -> asyncio.Event:
    """An event that the usual signals set. `loop.add_signal_handler` does not exist on Windows; this works on both."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_signal(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if number := getattr(signal, name, None):
            signal.signal(number, on_signal)
    return stop


def main() -> int:
    configure_logging()
    settings = load_settings_or_exit()
    try:
        asyncio.run(run(settings))
    except ConfigurationError as error:
        reason, status = str(error), 2
    except StartError as error:
        reason, status = str(error), 1
    except Exception as error:
        log.exception("worker_failed", error=str(error), error_type=type(error).__name__)
        reason, status = f"{type(error).__name__}: {error}", 1
    else:
        return 0
    sys.stdout.flush()
    print(f"mika worker: {' '.join(reason.split())}", file=sys.stderr, flush=True)  # the last line says why
    return status


if __name__ == "__main__":
    sys.exit(main())
