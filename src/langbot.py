"""Sends a reply to a chat through LangBot's service API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from src.outside import is_on_this_machine, through_proxy

if TYPE_CHECKING:
    from src.config import Settings
    from src.messages import OutgoingReply

_TIMEOUT = 8.0  # s


class SendError(Exception):
    """The reply was not delivered."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


async def send_reply(settings: Settings, reply: OutgoingReply) -> None:
    """Send once. LangBot has no idempotency key, so only a reply that was certainly not delivered is retryable."""
    if settings.langbot_api_base_url is None:
        raise SendError("LANGBOT_API_BASE_URL is not set for the worker, but it is for the API", retryable=False)
    key = settings.langbot_api_key.get_secret_value() if settings.langbot_api_key else ""
    target = reply.target
    url = f"{settings.langbot_api_base_url}/api/v1/platform/bots/{quote(target.bot_uuid, safe='')}/send_message"
    body = {
        "target_type": target.target_type,
        "target_id": target.target_id,
        "message_chain": [{"type": "Plain", "text": reply.text}],
    }
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=not is_on_this_machine(url)) as client:
            response = await client.post(url, json=body, headers={"X-API-Key": key} if key else {})
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise SendError(
            f"LangBot cannot be reached (LANGBOT_API_BASE_URL){through_proxy(url)}: {error}", retryable=True
        ) from None
    except httpx.HTTPError as error:
        raise SendError(
            f"LangBot did not answer, but the reply may have been sent: {error!r}", retryable=False
        ) from None
    if response.is_success:
        return
    hint = " (check LANGBOT_API_KEY)" if response.status_code in {401, 403} else ""
    raise SendError(f"LangBot answered {response.status_code}{hint}", retryable=response.is_server_error)
