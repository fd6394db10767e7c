"""The bot's Temporal worker: `python -m src.workers.temporal_worker`.

Exit code 0: it was asked to stop; 1: it failed; 2: only a change of the configuration can help.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from mika.diagnosis import commands
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
from src.workers.predecessors import return_tasks
from src.workflows.message_workflow import ProcessMessageWorkflow
from src.workflows.send_workflow import SendReplyWorkflow
from src.workflows.steps import HEARTBEAT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client

log = structlog.get_logger("mika.worker")

# When the worker is asked to stop, its activities get this long to finish; then they are cancelled, and retried
# elsewhere. A supervisor should only kill the worker some seconds after this.
GRACEFUL_SHUTDOWN_TIMEOUT = timedelta(seconds=10)
_SHUTDOWN_EXTRA = 2.0  # s that the SDK itself may need after that
# More than one worker can have under way at once in good time.
MAX_CACHED_WORKFLOWS = 500
STICKY_TIMEOUT = timedelta(seconds=1)
MAX_WORKFLOW_TASKS = 10
# mika starts the worker while the services are being set up: the server may be up before its namespace exists.
_NAMESPACE_PATIENCE = 30.0  # s
_LOG_INTERVAL = 5.0  # s


class ConfigurationError(Exception):
    """Another start will not help."""


class StartError(Exception):
    """Something that the worker needs was not available in time."""


async def run(settings: Settings) -> None:
    """Work until SIGINT, SIGTERM or (on Windows) SIGBREAK. Raises `ConfigurationError`, `StartError`."""
    stop = _stop_on_signal()
    identity = settings.mika_worker_identity or own_identity("worker")
    # Slow imports happen here, before the first beat.
    llm = make_llm(settings)
    try:
        history = make_history(settings)
        if settings.mongodb_url is None:
            await history.ping()  # a file that cannot be opened now will not open later, but a server may start later
    except HistoryError as error:
        raise ConfigurationError(str(error)) from None
    beat_task = None
    threads = WorkflowThreads()
    if settings.mika_beat_file:
        beat_task = asyncio.create_task(beat(settings.mika_beat_file, settings.mika_hang_timeout, threads.is_blocked))
    try:
        client = await _wait_for_temporal(settings, identity, stop)
        if client is not None:
            await _run_worker(settings, client, BotActivities(settings, history, llm), threads, stop)
    finally:
        if beat_task:
            beat_task.cancel()
        await llm.close()
        await history.close()


async def _run_worker(
    settings: Settings, client: Client, activities: BotActivities, threads: WorkflowThreads, stop: asyncio.Event
) -> None:
    failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def on_fatal_error(error: BaseException) -> None:
        failure.set_result(error)

    worker = _make_worker(settings, client, activities, threads, on_fatal_error)
    running = asyncio.create_task(worker.run())
    temporal = Temporal(client.service_client, settings.temporal_namespace)
    returning = asyncio.create_task(return_tasks(temporal, settings.temporal_task_queue, client.identity))
    stopping = asyncio.create_task(stop.wait())
    log.info("worker_started", identity=client.identity, task_queue=settings.temporal_task_queue)
    ends: set[asyncio.Future[Any]] = {running, stopping, failure}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    returning.cancel()
    if failure.done():
        # The SDK never returns if its other poller fails, too, while it shuts down for the first.
        await asyncio.wait({running}, timeout=GRACEFUL_SHUTDOWN_TIMEOUT.total_seconds() + _SHUTDOWN_EXTRA)
        raise failure.result()
    if not running.done():
        log.info("worker_stopping", patience_s=GRACEFUL_SHUTDOWN_TIMEOUT.total_seconds())
        await worker.shutdown()
    await running
    log.info("worker_stopped", identity=client.identity)


def _make_worker(
    settings: Settings,
    client: Client,
    activities: BotActivities,
    threads: WorkflowThreads,
    on_fatal_error: Callable[[BaseException], Awaitable[None]],
) -> Worker:
    return Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=[ProcessMessageWorkflow, SendReplyWorkflow],
        activities=activities.all(),
        workflow_task_executor=threads,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN_TIMEOUT,
        # The steps that are local activities need the cache: without it, a workflow task would run them once more.
        max_cached_workflows=MAX_CACHED_WORKFLOWS,
        # If this worker is killed, the next step of a message waits for it so long, and then goes to another one.
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        # A task that a killed worker had taken is lost until WORKFLOW_TASK_TIMEOUT: so it takes no more than it needs.
        max_concurrent_workflow_tasks=MAX_WORKFLOW_TASKS,
        # By default, the SDK sends heartbeats after 80 % of their timeout: a delay of half a second is a false alarm.
        max_heartbeat_throttle_interval=HEARTBEAT_TIMEOUT / 4,
        on_fatal_error=on_fatal_error,
    )


async def _wait_for_temporal(settings: Settings, identity: str, stop: asyncio.Event) -> Client | None:
    """A connected client; None if the worker was asked to stop first."""
    deadline = time.monotonic() + settings.temporal_connect_timeout
    logged_at, missing_since = -math.inf, math.inf
    server = f"Temporal at {settings.temporal_address}"
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
                create = commands.create_namespace(settings.temporal_namespace)
                command = commands.temporal(create, settings.temporal_address)
                raise ConfigurationError(f"{server} has {reason}: create it with {command}, or set TEMPORAL_NAMESPACE")
        elif now >= deadline:
            raise StartError(
                f"{server} did not answer within {settings.temporal_connect_timeout:g} s"
                f" (TEMPORAL_HOST, TEMPORAL_PORT): {reason}"
            )
        if now - logged_at >= _LOG_INTERVAL:
            log.warning("waiting_for_temporal", address=settings.temporal_address, error=reason)
            logged_at = now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5 if is_missing else 0.1):
                await stop.wait()
    return None


def _stop_on_signal() -> asyncio.Event:
    """An event that the usual signals set. Windows has no `loop.add_signal_handler`; this works on both systems."""
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
    # What is imported stays: looking for cycles in all of the SDK was most of the time between a stop and the exit.
    gc.freeze()
    try:
        asyncio.run(run(settings))
    except ConfigurationError as error:
        reason, status = str(error), 2
    except StartError as error:
        reason, status = str(error), 1
    except Exception as error:
        log.exception("worker_failed", error=str(error), error_type=type(error).__name__)
        reason, status = f"{type(error).__name__}: {error}", 1
        if error.__cause__ is not None:
            reason += f": {error.__cause__}"
    else:
        return 0
    sys.stdout.flush()
    print(f"mika worker: {' '.join(reason.split())}", file=sys.stderr, flush=True)  # the last line says why
    return status


def _leave(status: int) -> NoReturn:
    """End without the interpreter's own end.

    One of the SDK's Rust threads may be handing over a result just then, and the process would abort: killed by
    SIGABRT instead of an exit with this status ("PyGILState_Release: thread state must be current when releasing").
    """
    with contextlib.suppress(OSError, ValueError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
