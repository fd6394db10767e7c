"""The bot's own accounts: without them, an @ of the bot looks like one of anybody else, and so do its own words."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from src.chat.content import short
from src.outside import decoded, is_on_this_machine, needs_certificates, path_part

if TYPE_CHECKING:
    from src.config import Settings

log = structlog.get_logger("mika.api")

_PATIENCE = 2.0  # s: LangBot waits 15 s for its event, which has other things to wait for, too
_TIMEOUT = 8.0  # s: a LangBot that has just been started is slow; the next event has its answer
_FRESH, _RETRY = 3600.0, 3.0  # s: how long an answer, or none, is believed
_MAX_BOTS = 100


class Accounts:
    """BOT_IDS, and what LangBot says; its events do not contain it, but its API does, in all versions since 4.7."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def of(self, bot_uuid: str) -> frozenset[str]:
        """May take 2 s, until LangBot has answered once for this bot. Empty if nobody knows."""
        own = frozenset(self._settings.bot_ids)
        if own or not bot_uuid or self._settings.langbot_api_base_url is None:
            return own
        if len(self._known.keys() | {bot_uuid} | self._asking.keys()) > _MAX_BOTS:  # somebody makes them up
            return own
        until, account = self._known.get(bot_uuid, (0.0, ""))
        if time.monotonic() >= until:
            if bot_uuid not in self._asking:
                asking = asyncio.create_task(self._update(self._settings.langbot_api_base_url, bot_uuid))
                self._asking[bot_uuid] = asking
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    account = await asyncio.shield(self._asking[bot_uuid])
        return frozenset({account} - {"", "0"})  # 0: not connected yet

    async def _update(self, base_url: str, bot_uuid: str) -> str:
        """Ask, and remember what is known then. Whoever waits for it may leave."""
        try:
            asked = await self._ask(base_url, bot_uuid)
            # What was known stays true while LangBot does not answer.
            account = asked or self._known.get(bot_uuid, (0.0, ""))[1]
            self._known[bot_uuid] = (time.monotonic() + (_FRESH if asked else _RETRY), account)
        finally:
            del self._asking[bot_uuid]
        return account

    async def _ask(self, base_url: str, bot_uuid: str) -> str:
        """The account, or an empty text."""
        import httpx  # noqa: PLC0415 - only needed where LangBot can be asked

        key = self._settings.langbot_api_key
        headers = {"X-API-Key": key.get_secret_value()} if key else {}
        try:
            url = f"{base_url}/api/v1/platform/bots/{path_part(bot_uuid)}"
            client = httpx.AsyncClient(trust_env=not is_on_this_machine(url), verify=needs_certificates(url))
            async with asyncio.timeout(_TIMEOUT), client:
                answer = await client.get(url, headers=headers)
                body = decoded(answer.content) if answer.is_success else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            log.warning("own_account_unknown", error=type(error).__name__, hint="set BOT_IDS")
            return ""
        for key_ in ("data", "bot", "adapter_runtime_values"):
            body = body.get(key_) if isinstance(body, dict) else None
        account = short(body.get("bot_account_id")) if isinstance(body, dict) else ""
        if not account:
            log.warning("own_account_unknown", status=answer.status_code, hint="check LANGBOT_API_KEY, or set BOT_IDS")
        return account
