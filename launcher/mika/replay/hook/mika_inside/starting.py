"""One call with the program's own client, converter and codec: start a workflow, or talk to one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from .describing import definitions, handlers
from .isolation import is_ordered
from .report import ORDER, say
from .validating import RefusedError, arguments
from .words import Text, _
from .workers import active_config

_KINDS = {"signal": "signals", "query": "queries", "update": "updates"}


async def call(worker: Any) -> None:
    """Make the call that ORDER has, if this worker is the one for it, and report what came of it.

    `call` is `start`, `signal`, `query`, `update` or `result`; `queue`, `type`, `id` and `run_id` are of the workflow;
    `name` of its handler; `input` has the arguments, each as JSON.
    """
    wanted = ORDER["call"]
    definition = next((each for each in definitions(worker) if each.name == wanted["type"]), None)
    definition = definition or next((each for each in definitions(worker) if each.name is None), None)
    if active_config(worker)["task_queue"] != wanted["queue"] or definition is None or not _claim():
        say("called", number=worker._mika_number, state="not_here")
        return
    converter = active_config(worker.client)["data_converter"].payload_converter
    answer: dict[str, Any] = {"state": "done"}
    is_ordered.set(True)
    try:
        answer |= await _made(worker.client, definition, wanted, converter)
    except RefusedError as error:
        answer = {"state": "refused", "text": error.args[0]}
    except Exception as error:  # noqa: BLE001 - of the program's converter, codec or interceptors
        cause = error.__cause__ or error  # of a failed update, workflow
        kind = getattr(cause, "type", None) or type(cause).__name__
        answer = {"state": "failed", "error": type(error).__name__, "type": kind, "text": str(cause)[:2000]}
    finally:
        is_ordered.set(False)
    say("called", number=worker._mika_number, **answer)


def _claim() -> bool:
    """Whether this is the first worker that could do it: the program may have several, in several processes."""
    try:
        os.close(os.open(ORDER["report"] + ".claim", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


async def _made(client: Any, definition: Any, wanted: dict[str, Any], converter: Any) -> dict[str, Any]:
    from temporalio.common import RawValue

    if wanted["call"] == "start":
        function = definition.run_fn if definition.name else _anything
        values, unchecked = arguments(function, wanted["input"], converter)
        handle = await client.start_workflow(wanted["type"], args=values, id=wanted["id"], task_queue=wanted["queue"])
        return {"run_id": handle.result_run_id, "unchecked": unchecked}
    handle = client.get_workflow_handle(wanted["id"], run_id=wanted["run_id"], result_type=RawValue)
    if wanted["call"] == "result":
        return {"result": _json_of(await handle.result(), converter)}
    values, unchecked = arguments(_handler(definition, wanted), wanted["input"], converter)
    if wanted["call"] == "signal":
        await handle.signal(wanted["name"], args=values)
        return {"unchecked": unchecked}
    make = handle.query if wanted["call"] == "query" else handle.execute_update
    result = await make(wanted["name"], args=values, result_type=RawValue)
    return {"unchecked": unchecked, "result": _json_of(result, converter)}


def _handler(definition: Any, wanted: dict[str, Any]) -> Callable[..., Any]:
    found = handlers(definition, _KINDS[wanted["call"]])
    handler = found.get(wanted["name"])
    if handler is None and ("*" in found or wanted["name"].startswith("__")):
        return _anything
    if handler is None:
        raise RefusedError(_lacks(wanted["type"], wanted["call"], wanted["name"], sorted(found)))
    return handler


def _lacks(type_: str, kind: str, name: str, known: list[str]) -> Text:
    if not known:
        return _("{type} has no {kind} {name!r} (it has none)", type=type_, kind=kind, name=name)
    names = ", ".join(known)
    return _("{type} has no {kind} {name!r} (there are: {names})", type=type_, kind=kind, name=name, names=names)


def _anything(_self: object, *arguments: Any) -> None:
    """The signature of what is dynamic, and of what every workflow answers (`__stack_trace`)."""


def _json_of(raw: Any, converter: Any) -> Any:
    """The value, or its text where JSON has nothing like it. The codec has decoded it."""
    payload = raw.payload
    encoding = payload.metadata.get("encoding", b"").decode()
    if encoding.startswith("json/"):
        return json.loads(payload.data)
    return None if encoding == "binary/null" else str(converter.from_payloads([payload])[0])
