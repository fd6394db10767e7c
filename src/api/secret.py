"""Asks for WEBHOOK_SECRET, if there is one."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from mika.diagnosis.wording import _

from src.intake.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

    from src.config import Settings


def check_secret(request: Request, settings: Settings) -> None:
    """In a header, or in a query parameter because LangBot cannot send headers. Raises `Problem` (`unauthorized`)."""
    if settings.webhook_secret is None:
        return
    given = request.headers.get("x-webhook-secret") or request.query_params.get("secret", "")
    if not is_same(given, settings.webhook_secret.get_secret_value()):
        raise Problem(
            "unauthorized", _("Send WEBHOOK_SECRET in the header X-Webhook-Secret, or as ?secret=… in the address.")
        )


def is_same(given: str, secret: str) -> bool:
    """In constant time. Takes any text, also one with half a surrogate pair."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))
