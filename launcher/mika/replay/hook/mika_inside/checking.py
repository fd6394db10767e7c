"""Replay the histories of one worker with its own workflows, runner, converters, interceptors and codecs."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

from . import awaited, commands, locating
from .histories import Run, in_order, is_fresh, load, shape
from .report import ORDER, remaining, say
from .words import Text, _
from .workers import BUILD_ID, active_config, workflow_classes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import WorkflowHistory

_HISTORY_SECONDS, _EVENT_SECONDS = 10.0, 0.002
"""How long one history may take: the SDK hangs with some. An event takes 0.4 ms, more in the longest histories."""
_MOST_FAILURES = 50
_DEADLOCK = "TMPRL1101"
"""The SDK's own words for a step that blocks for 2 s. On a busy machine a slow import looks the same."""

_OPTIONS = (
    "workflow_runner",
    "unsandboxed_workflow_runner",
    "workflow_failure_exception_types",
    "debug_mode",
    "disable_safe_workflow_eviction",
)
"""What a Replayer takes from a worker. Plugins are not among it: they have changed the configuration already."""


async def check(worker: Any) -> None:
    """Replay what concerns `worker`, and report each run that does not fit, then a line `done`."""
    classes = workflow_classes(worker)
    if not classes:
        say("done", number=worker._mika_number, counts={}, unknown={}, missing=[], late=0)
        return
    loaded = await load(worker, set(classes))
    codec = _watch_codec(worker)
    needed = {run.type if run.type in classes else "*" for run in loaded.runs}
    replay = _Replay(_arguments(worker, [classes[name] for name in needed]))
    counts = {"good": 0, "bad": 0, "open_good": 0, "missed": loaded.missed}
    late = 0
    going_on: list[Run] = []
    located: dict[int, int | None] = {}
    replayed_from = time.monotonic()
    for number, run in in_order(loaded.runs):
        is_open = run.status == "RUNNING"
        if is_fresh(run.events):
            _say_fits(run)
            continue
        is_over = time.monotonic() - replayed_from > ORDER["seconds"]
        if number > 1 and (number > ORDER["of_a_shape"] or is_over or counts["bad"] >= _MOST_FAILURES):
            late += 1
            going_on += [run] * is_open
            continue
        try:
            failure = await replay.replay(run.history)
        except TimeoutError:
            if remaining():
                _say_unread(run, _("its {count} events took too long to replay", count=len(run.events)))
            else:
                counts["missed"] += 1
            continue
        codec_error = codec.take_error()
        if failure is not None and codec_error:
            _say_unread(run, _("the codec failed: {error}", error=codec_error))
            continue
        counts["good" if failure is None else "bad"] += 1
        counts["open_good"] += failure is None and is_open
        if failure is not None:
            await _report(replay, run, failure, located)
        else:
            _say_fits(run)
            going_on += [run] * is_open
    say(
        "done",
        number=worker._mika_number,
        counts=counts,
        unknown=loaded.unknown,
        missing=await awaited.missing(worker, going_on),
        late=late,
        more_open=loaded.more_open,
    )


def _say_unread(run: Run, text: Text) -> None:
    say("unread", id=run.id, type=run.type, text=text)


def _say_fits(run: Run) -> None:
    """Only whoever asks for single runs wants to know it of each."""
    if ORDER["only"]:
        say("fits", id=run.id, run=run.run_id)


async def _report(replay: _Replay, run: Run, failure: Exception, located: dict[int, int | None]) -> None:
    """`located` has the task that decided otherwise, by shape: its search is a dozen replays."""
    asked = commands.first_difference(run.history.run_id, run.events)
    key = shape(run)
    if ORDER["locate_each"] or key not in located:
        located[key] = await _first_misfit(replay, run)
    if asked is not None and locating.is_later(asked, located[key], run.events):
        asked = None
    raised = locating.raised(str(failure))
    is_raised = type(failure).__name__ != "NondeterminismError"
    event = locating.find_event(raised.text, run.events, asked, located[key])
    step = locating.not_after(located[key], event, run.events)
    where = raised.where if is_raised else asked.where if asked is not None else None
    say(
        "misfit",
        id=run.id,
        run=run.run_id,
        type=run.type,
        status=run.status,
        raises=is_raised,
        text=raised.text,
        where=where,
        event=event,
        asked=[asked.step, asked.name] if asked is not None and asked.step and not is_raised else None,
        reset_to=None if is_raised else step,
        was_stuck=locating.was_stuck(run.events),
    )


class _Codec:
    """The last error of the payload codec since it was last asked for. It says nothing about the workflow's code."""

    def __init__(self) -> None:
        self._error = ""

    def take_error(self) -> str:
        error, self._error = self._error, ""
        return error

    def watch(self, decode: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any, **named: Any) -> Any:
            try:
                return await decode(*arguments, **named)
            except Exception as error:
                self._error = f"{type(error).__name__}: {error}"[:300]
                raise

        return watched


def _watch_codec(worker: Any) -> _Codec:
    codec = _Codec()
    own = getattr(active_config(worker.client)["data_converter"], "payload_codec", None)
    if own is not None:  # of its class: the SDK may make others from it, and it may be frozen
        type(own).decode = codec.watch(type(own).decode)
    return codec


def _arguments(worker: Any, workflows: list[type]) -> dict[str, Any]:
    """The Replayer's arguments: only those that this version of the SDK knows.

    It loads the file of each of `workflows` once more in the sandbox, so they are only those that it needs.
    """
    from temporalio.worker import Interceptor, Replayer

    config, client_config = active_config(worker), active_config(worker.client)
    arguments: dict[str, Any] = {name: config.get(name) for name in _OPTIONS}
    of_client = [each for each in client_config["interceptors"] if isinstance(each, Interceptor)]
    arguments |= {
        "workflows": workflows,
        "namespace": worker.client.namespace,
        "data_converter": client_config["data_converter"],
        "interceptors": [*of_client, *(config.get("interceptors") or ())],
        "build_id": BUILD_ID,
        "header_codec_behavior": client_config.get("header_codec_behavior"),
        "runtime": getattr(worker, "_runtime", None),
    }
    known = inspect.signature(Replayer.__init__).parameters
    return {name: value for name, value in arguments.items() if name in known and value is not None}


class _Replay:
    """One Replayer for many histories; a new one after a history with which it hangs or fails.

    The SDK 1.35 hangs when the first history fails and its type makes non-determinism a failure of the workflow.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._run_id = ""
        self._open: tuple[Any, asyncio.Queue[WorkflowHistory], Any] | None = None

    async def replay(self, history: WorkflowHistory) -> Exception | None:
        """None if it fits. Raises TimeoutError if it hangs."""
        failure = await self._attempt(history)
        if failure is not None and _DEADLOCK in str(failure):
            failure = await self._attempt(history)
        return failure

    async def _attempt(self, history: WorkflowHistory) -> Exception | None:
        from temporalio.worker import Replayer

        if not remaining():
            raise TimeoutError
        if self._open is None:
            queue: asyncio.Queue[WorkflowHistory] = asyncio.Queue()

            async def histories() -> Any:
                while True:
                    yield await queue.get()

            manager = Replayer(**self._arguments).workflow_replay_iterator(histories())
            self._open = (manager, queue, await manager.__aenter__())
        _manager, queue, results = self._open
        commands.begin(history.run_id, self._run_id)
        self._run_id = history.run_id
        queue.put_nowait(history)
        result = asyncio.ensure_future(results.__anext__())
        limit = max(_HISTORY_SECONDS, _EVENT_SECONDS * len(history.events))
        done, _waiting = await asyncio.wait({result}, timeout=min(limit, remaining()))
        if not done:
            self._open = None  # left as it is: this process is killed soon
            raise TimeoutError
        try:
            failure: Exception | None = result.result().replay_failure
        except BaseException:
            self._open = None
            raise
        return failure


async def _first_misfit(replay: _Replay, run: Run) -> int | None:
    """The id of the completed workflow task that this code decides otherwise, by bisection; None if it hangs.

    The code fits everything before it, so it is the last point to which a reset helps.
    """
    import dataclasses

    tasks = locating.completed_tasks(run.events)
    low, high = 0, len(tasks) - 1
    while low < high:
        middle = (low + high) // 2
        beginning = dataclasses.replace(run.history, events=list(run.events[: tasks[middle].end]))
        try:
            failure = await replay.replay(beginning)
        except TimeoutError:
            return None
        if failure is None:
            low = middle + 1
        else:
            high = middle
    return tasks[high].event_id if tasks else None
