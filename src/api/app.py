"""Creates the API."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from src.api import openapi, problems
from src.api.hosts import HostGuard
from src.api.langbot_check import LangBotCheck
from src.api.routes import document, health, history, langbot, n8n, onebot, silent, workflows
from src.api.service import MessageService
from src.chat.hearing import Hearing
from src.chat.images import clean_now_and_then, make_image_store
from src.history.factory import make_history
from src.sending import Sender
from src.temporal import connect, own_identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from src.config import Settings

log = structlog.get_logger("mika.api")


def create_app(settings: Settings) -> FastAPI:
    """Connects to Temporal on the first request that needs it, so the API starts even while the server is down."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.settings = settings
        app.state.client = await connect(settings, own_identity("api"), lazy=True)
        app.state.service = MessageService(app.state.client, settings)
        app.state.hearing = Hearing(settings)
        app.state.history = make_history(settings)
        app.state.sender = Sender(settings, app.state.history)
        app.state.langbot = LangBotCheck(settings)
        log.info("api_started", temporal=settings.temporal_address, task_queue=settings.temporal_task_queue)
        cleaning = asyncio.create_task(clean_now_and_then(make_image_store(settings)))
        yield
        cleaning.cancel()
        await app.state.history.close()

    # No page at /docs: it would load its scripts from a CDN. /openapi.json is a route, which asks for the secret.
    app = FastAPI(title="mika", lifespan=lifespan, openapi_url=None)
    app.add_middleware(HostGuard, settings=settings)
    problems.install(app)
    for routes in (langbot, n8n, onebot, silent, workflows, history, health, document):
        app.include_router(routes.router)
    openapi.install(app, settings)
    return app
