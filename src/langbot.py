"""Sends a message to a chat through LangBot's service API, and decides what its answer means.

LangBot has no idempotency key, and 4.7 answers 500 for any failure, also for one after the message was delivered. So
only an answer that is given before LangBot has begun means "not sent".
"""

from __future__ import annotations

import ssl
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from src.outside import decoded, is_on_this_machine, path_part, retry_after, through_proxy
from src.send_errors import MaybeSentError, NotSentError, UnreachableError

if TYPE_CHECKING:
    from src.config import Settings
    from src.messages import ReplyTarget

_TIMEOUT = httpx.Timeout(8.0, connect=4.0)
_LONGEST_RETRY_AFTER = 3600.0  # s
_FIXES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "LangBot does not accept this message",
    HTTPStatus.UNAUTHORIZED: "set LANGBOT_API_KEY to a key that LangBot shows under API keys",
    HTTPStatus.FORBIDDEN: "LANGBOT_API_KEY has no permission to send messages",
    HTTPStatus.NOT_FOUND: "check LANGBOT_API_BASE_URL, and whether the bot still exists in LangBot",
}


async def send(settings: Settings, target: ReplyTarget, text: str) -> None:
    """Send once. Raises `NotSentError` if LangBot surely did not, `MaybeSentError` if that is not known."""
    if settings.langbot_api_base_url is None:
        raise NotSentError("LANGBOT_API_BASE_URL is not set for the worker, but it is for the API", retryable=False)
    key = settings.langbot_api_key.get_secret_value() if settings.langbot_api_key else ""
    try:
        url = f"{settings.langbot_api_base_url}/api/v1/platform/bots/{path_part(target.bot_uuid)}/send_message"
    except ValueError as error:
        raise NotSentError(f"the bot's id in the event {error}", retryable=False) from None
    body = {
        "target_type": target.target_type,
        "target_id": target.target_id,
        "message_chain": [{"type": "Plain", "text": text}],
    }
    try:
        # A client of its own: on a connection that was kept, nobody could tell whether LangBot saw the request.
        async with httpx.AsyncClient(
            timeout=_TIMEOUT, trust_env=not is_on_this_machine(url), verify=_certificates()
        ) as client:
            response = await client.post(url, json=body, headers={"X-API-Key": key} if key else {})
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        reason = f"LangBot cannot be reached (LANGBOT_API_BASE_URL){through_proxy(url)}: {_words(error)}"
        raise UnreachableError(reason) from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise NotSentError(f"the request to LangBot cannot be made: {_words(error)}", retryable=False) from None
    except httpx.HTTPError as error:
        raise MaybeSentError(f"LangBot's answer did not arrive: {_words(error)}") from None
    _judge(response)


def _judge(response: httpx.Response) -> None:
    """Raises `NotSentError` or `MaybeSentError` for any answer but LangBot's own success."""
    status = response.status_code
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        wait = retry_after(response.headers, longest=_LONGEST_RETRY_AFTER)
        raise NotSentError(f"LangBot is busy: it answered {status}", retryable=True, retry_after=wait)
    if response.is_redirect:
        fix = "set it to the address that it redirects to"
        raise NotSentError(f"LANGBOT_API_BASE_URL redirects ({status}): {fix}", retryable=False)
    if response.is_client_error:
        fix = _FIXES.get(status, "")
        raise NotSentError(f"LangBot refused it with {status}{fix and f': {fix}'}", retryable=False)
    if response.is_server_error:
        raise MaybeSentError(f"LangBot answered {status}, which it also does after it has delivered a message")
    if not _is_success(response):
        fix = "check that LANGBOT_API_BASE_URL is LangBot itself"
        raise MaybeSentError(f"{status}, but not LangBot's own answer: {fix}")


def _is_success(response: httpx.Response) -> bool:
    """Whether it is `{"code": 0, "data": {"sent": true}}`."""
    body = decoded(response.content)
    if not isinstance(body, dict) or body.get("code") != 0:
        return False
    data = body.get("data")
    return isinstance(data, dict) and data.get("sent") is True


def _words(error: httpx.HTTPError) -> str:
    """Some of httpx's errors have no text."""
    return str(error) or type(error).__name__


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them takes longer than to send a message."""
    return httpx.create_ssl_context()
