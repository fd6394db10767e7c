"""What `/readyz` says of LangBot: whether it takes replies, and whether its events come. Never sends a message."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mika.diagnosis.wording import _, joined

from src.outside import decoded, is_on_this_machine, needs_certificates, through_proxy

if TYPE_CHECKING:
    import httpx

    from src.config import Settings

_TIMEOUT = 2.0  # s, for two requests
_FRESH = 10.0  # s that a state is kept
_PATIENCE = 60.0  # s after the start without an event are no news
_BOTS = "/api/v1/platform/bots"
_MESSAGE_PATTERNS = {"message.received", "message.*", "*"}


class LangBotCheck:
    """`state` for `/readyz`: as the other dependencies, with `fix` where something is to be done.

    LangBot shows its webhooks only to a person who has signed in, not to an API key. So whether the webhook is there is
    known only from the events that come.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since = time.monotonic()
        self._last_event: float | None = None
        self._state: dict[str, str] = {}
        self._asked = -_FRESH
        self._lock = asyncio.Lock()

    def saw_event(self) -> None:
        self._last_event = time.monotonic()

    async def state(self) -> dict[str, str] | None:
        """None without LANGBOT_API_BASE_URL."""
        url = self._settings.langbot_api_base_url
        if url is None:
            return None
        async with self._lock:
            if time.monotonic() - self._asked >= _FRESH:
                self._state = await self._ask(url)
                self._asked = time.monotonic()
        state = {**self._state, "address": urlsplit(url).netloc.rpartition("@")[2]}
        return self._with_events(state) if state["state"] == "ready" else state

    def _with_events(self, state: dict[str, str]) -> dict[str, str]:
        now = time.monotonic()
        if self._last_event is not None:
            last = _("its last event came {seconds:.0f} s ago", seconds=now - self._last_event)
            return state | {"detail": joined(_("; "), (state["detail"], last))}
        none = _("no event came since this API started {seconds:.0f} s ago", seconds=now - self._since)
        detail = joined(_("; "), (state["detail"], none))
        if now - self._since < _PATIENCE or "fix" in state:
            return state | {"detail": detail}
        fix = _("write to the bot; if that changes nothing, add this API's /webhook/langbot as a webhook in LangBot")
        return state | {"detail": detail, "fix": fix}

    async def _ask(self, url: str) -> dict[str, str]:
        import httpx  # noqa: PLC0415 - an API without LangBot starts without it

        key = self._settings.langbot_api_key
        headers = {"X-API-Key": key.get_secret_value()} if key else {}
        trust_env, verify = not is_on_this_machine(url), needs_certificates(url)
        try:
            async with (
                asyncio.timeout(_TIMEOUT),
                httpx.AsyncClient(
                    base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=trust_env, verify=verify
                ) as client,
            ):
                # Without a target nothing is sent: LangBot looks at the key first, and then at the target.
                sending = await client.post(f"{_BOTS}/none/send_message", json={})
                if problem := _problem(sending, has_key=key is not None):
                    return problem
                return _bots(await client.get(_BOTS))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = _("LangBot cannot be reached{by_proxy}: {error}", by_proxy=through_proxy(url), error=error)
            code = "unreachable"
        except (TimeoutError, httpx.TimeoutException):
            reason, code = _("LangBot does not answer within {seconds:g} s", seconds=_TIMEOUT), "timeout"
        except httpx.HTTPError as error:
            reason, code = _("LangBot does not answer: {error}", error=repr(error)), "failed"
        return _unavailable(code, reason, _("start LangBot, or correct LANGBOT_API_BASE_URL"))


def _problem(sending: httpx.Response, *, has_key: bool) -> dict[str, str] | None:
    if sending.status_code == HTTPStatus.BAD_REQUEST and _is_langbots(sending):
        return None
    if sending.status_code in {401, 403}:
        new = _("create an API key in LangBot and set LANGBOT_API_KEY to it")
        if not has_key:
            return _unavailable("denied", _("LangBot asks for an API key, and LANGBOT_API_KEY is not set"), new)
        may = _("LANGBOT_API_KEY may not send messages") if sending.status_code == HTTPStatus.FORBIDDEN else ""
        return _unavailable("denied", may or _("LangBot does not know LANGBOT_API_KEY"), new)
    text = _("what answers at LANGBOT_API_BASE_URL is not LangBot's API (status {status})", status=sending.status_code)
    fix = _("set LANGBOT_API_BASE_URL to the address of LangBot's own page, e.g. port 5300")
    return _unavailable("failed", text, fix)


def _unavailable(code: str, detail: str, fix: str) -> dict[str, str]:
    return {"state": "unavailable", "detail": detail, "error": code, "fix": fix}


def _is_langbots(response: httpx.Response) -> bool:
    body = decoded(response.content)
    return isinstance(body, dict) and {"code", "msg"} <= body.keys()


def _bots(listing: httpx.Response) -> dict[str, str]:
    """The state by LangBot's bots; a key may be allowed to send, and not to list them."""
    body = decoded(listing.content)
    data = body.get("data") if isinstance(body, dict) else None
    found = data.get("bots") if isinstance(data, dict) else None
    if listing.status_code != HTTPStatus.OK or not isinstance(found, list):
        return {"state": "ready", "detail": _("LangBot takes replies; this key may not list its bots")}
    bots = [bot for bot in found if isinstance(bot, dict) and bot.get("enable")]
    if not bots:
        text = _("LangBot takes replies, but has no enabled bot")
        return {"state": "ready", "detail": text, "fix": _("create a bot in LangBot, or enable it")}
    unbound = [bot for bot in bots if "event_bindings" in bot and not _message_bindings(bot)]
    if len(unbound) == len(bots):
        text = _("LangBot takes replies, but hands on no messages of its bot")
        return {
            "state": "ready",
            "detail": text,
            "fix": _("in LangBot, add an event route for message.received to the bot"),
        }
    only_at = [bot for bot in bots if "event_bindings" in bot and all(map(_is_at_only, _message_bindings(bot)))]
    detail = (
        _("LangBot takes replies, for {count} bots", count=len(bots))
        if len(bots) > 1
        else _("LangBot takes replies, for 1 bot")
    )
    if len(only_at) == len(bots):
        detail = joined(_("; "), (detail, _("of groups, LangBot hands on only messages that @ the bot")))
    return {"state": "ready", "detail": detail}


def _message_bindings(bot: dict[str, Any]) -> list[dict[str, Any]]:
    """Since LangBot 4.11: where it hands messages on; the webhook is called for these only."""
    bindings = bot["event_bindings"] if isinstance(bot["event_bindings"], list) else []
    return [
        binding
        for binding in bindings
        if isinstance(binding, dict)
        and binding.get("enabled", True)
        and binding.get("event_pattern") in _MESSAGE_PATTERNS
        and binding.get("target_type") == "pipeline"
    ]


def _is_at_only(binding: dict[str, Any]) -> bool:
    """Whether it lets no group message through that does not @ the bot."""
    filters = binding.get("filters") if isinstance(binding.get("filters"), list) else []
    fields = {item.get("field"): item.get("value") for item in filters or () if isinstance(item, dict)}
    return fields.get("is_at_bot") is True or fields.get("chat_type") in {"private", "person"}
