"""Asks a OneBot v11 implementation (NapCat, Lagrange, go-cqhttp) over HTTP to send, at ONEBOT_API_URL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from src.chat.content import short
from src.chat.segments import text_message
from src.outside import decoded, is_on_this_machine, needs_certificates, retry_after, through_proxy
from src.send_errors import MaybeSentError, NotSentError, UnreachableError

if TYPE_CHECKING:
    from src.config import Settings
    from src.messages import ReplyTarget

_TIMEOUT = 8.0  # s
_LOOK_UP_TIMEOUT = 2.0  # s
_NEVER_SENT = [range(100, 200), range(1400, 1500)]
"""`retcode`: wrong parameters or no permission, and the same as HTTP's 4xx. Others may be a timeout on the way."""


async def send(settings: Settings, target: ReplyTarget, text: str) -> None:
    """Send once. Raises `NotSentError` or `MaybeSentError`."""
    if settings.onebot_api_url is None:
        raise NotSentError("ONEBOT_API_URL is not set for the worker, but it is for the API", retryable=False)
    url = settings.onebot_api_url
    is_group = target.target_type == "group"
    body = {"group_id" if is_group else "user_id": _number(target.target_id), "message": text_message(text)}
    try:
        answer = await _call(settings, "send_group_msg" if is_group else "send_private_msg", body, _TIMEOUT)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        reason = f"OneBot cannot be reached (ONEBOT_API_URL){through_proxy(url)}: {error}"
        raise UnreachableError(reason) from None
    except (httpx.HTTPError, TimeoutError) as error:
        raise MaybeSentError(f"OneBot did not answer, but the reply may have been sent: {error!r}") from None
    _check(answer)


async def sender_of(settings: Settings, message_id: str) -> str:
    """Who wrote a message, for a reply to it; empty if nobody says."""
    try:
        async with asyncio.timeout(_LOOK_UP_TIMEOUT):
            answer = await _call(settings, "get_msg", {"message_id": _number(message_id)}, _LOOK_UP_TIMEOUT)
        data = _decoded(answer).get("data")
    except (httpx.HTTPError, TimeoutError):
        return ""
    sender = data.get("sender") if isinstance(data, dict) else None
    return short(sender.get("user_id")) if isinstance(sender, dict) else ""


async def _call(settings: Settings, action: str, body: dict[str, Any], timeout: float) -> httpx.Response:
    url = f"{settings.onebot_api_url}/{action}"
    token = settings.onebot_access_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    async with httpx.AsyncClient(
        timeout=timeout, trust_env=not is_on_this_machine(url), verify=needs_certificates(url)
    ) as client:
        return await client.post(url, json=body, headers=headers)


def _check(answer: httpx.Response) -> None:
    """Raise unless OneBot itself says that the message was sent."""
    status = answer.status_code
    if status in {429, 503}:
        wait = retry_after(answer.headers)
        raise NotSentError(f"OneBot answered {status}", retryable=True, retry_after=wait)
    if answer.is_client_error:
        hint = " (check ONEBOT_ACCESS_TOKEN)" if status in {401, 403} else ""
        hint = " (check ONEBOT_API_URL)" if status == httpx.codes.NOT_FOUND else hint
        raise NotSentError(f"OneBot answered {status}{hint}", retryable=False)
    if not answer.is_success:
        raise MaybeSentError(f"OneBot answered {status}, but the reply may have been sent")
    body = _decoded(answer)
    code = body.get("retcode")
    if body.get("status") in ("ok", "async") and code in (0, 1):
        return
    said = f"{code} {short(body.get('message')) or short(body.get('wording'))}".strip()
    if isinstance(code, int) and any(code in codes for codes in _NEVER_SENT):
        raise NotSentError(f"OneBot refused the reply: {said}", retryable=False)
    if not isinstance(code, int):
        raise MaybeSentError("what answers at ONEBOT_API_URL is not OneBot, or not all of its answer arrived")
    raise MaybeSentError(f"OneBot failed, but the reply may have been sent: {said}")


def _decoded(answer: httpx.Response) -> dict[str, Any]:
    body = decoded(answer.content)
    return body if isinstance(body, dict) else {}


def _number(value: str) -> int | str:
    return int(value) if value.isdecimal() and value.isascii() else value
