"""`GET /healthz`: this process is up. `GET /readyz`: a message sent now would be answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from mika.diagnosis.survey import look_at
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from mika.diagnosis.wording import _, packed

from src.api.answers import Health, Readiness
from src.api.openapi import answers, described
from src.history.base import HistoryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from src.api.langbot_check import LangBotCheck
    from src.config import Settings
    from src.history.base import History

router = APIRouter()

# Each check has its own shorter timeout, whose error says more. This one is for a connection that hangs.
_CHECK_TIMEOUT = RPC_TIMEOUT + 0.5

_NOT_READY: dict[int | str, dict[str, Any]] = {503: described("A message would not be answered now", Readiness)}


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that is needed to answer messages. `facts` say what it is; `check` returns a detail for people."""

    facts: Mapping[str, str]
    check: Awaitable[str]


class NoWorkerError(Exception):
    """No worker polls the queue."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=None, responses=answers(Health))
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=None, responses=answers(Readiness) | _NOT_READY)
async def readyz(request: Request) -> JSONResponse:
    settings: Settings = request.app.state.settings
    history: History = request.app.state.history
    namespace, queue = settings.temporal_namespace, settings.temporal_task_queue
    temporal = Temporal(request.app.state.client.service_client, namespace)
    dependencies = {
        "temporal": Dependency(
            {"address": settings.temporal_address, "namespace": namespace}, _namespace_exists(temporal)
        ),
        "worker": Dependency({"namespace": namespace, "queue": queue}, _worker_polls(temporal, queue)),
        "history": Dependency(history.facts, history.ping()),
    }
    langbot: LangBotCheck = request.app.state.langbot
    *results, chat = await asyncio.gather(*map(_state_of, dependencies.values()), langbot.state())
    ready = all(result is not None and result["state"] == "ready" for result in results)
    body: dict[str, object] = {
        "status": "ready" if ready else "unavailable",
        **dict(zip(dependencies, results, strict=True)),
    }
    # A message is answered without LangBot, too, and its reply waits: so it never makes the API unavailable.
    return JSONResponse(packed(body | ({"langbot": chat} if chat else {})), 200 if ready else 503)


async def _state_of(dependency: Dependency) -> dict[str, str]:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            return {"state": "ready", "detail": await dependency.check, **dependency.facts}
    except Exception as error:  # noqa: BLE001 - any error means that it is unavailable
        code = _code(error)
        is_timeout = code == CallError.TIMEOUT
        detail = _("no answer within {seconds:g} s", seconds=RPC_TIMEOUT) if is_timeout else _in_one_line(error)
    return {"state": "unavailable", "detail": detail, "error": code, **dependency.facts}


def _in_one_line(error: Exception) -> str:
    if isinstance(error, NoWorkerError | HistoryError):
        return error.text
    return " ".join(str(error).split())[:300]


def _code(error: Exception) -> str:
    """The error's code, for programs. docs/http-api.md lists them."""
    if isinstance(error, NoWorkerError):
        return "no_worker"
    if isinstance(error, HistoryError):
        return error.code
    kind = call_error(error)
    return "namespace_missing" if kind == CallError.NOT_FOUND else kind


async def _namespace_exists(temporal: Temporal) -> str:
    await temporal.describe_namespace()
    return _("namespace {name}", name=temporal.namespace)


async def _worker_polls(temporal: Temporal, queue: str) -> str:
    """A killed worker looks alive until its last poll is old. (Its supervisor notices at once.)"""
    alive = [worker for worker in (await look_at(temporal, queue)).workers if worker.state == "alive"]
    if not (any(worker.workflows for worker in alive) and any(worker.activities for worker in alive)):
        raise NoWorkerError(_("no worker polls {queue}", queue=queue))
    return _("polling {queue}", queue=queue)
