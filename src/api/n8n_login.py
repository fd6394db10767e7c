"""How LangBot's n8n runner logs in: as it can be set in a pipeline of LangBot (none, basic, header, JWT)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from src.api.secret import check_secret, is_same
from src.intake.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request
    from pydantic import SecretStr

    from src.config import Settings

_LEEWAY = 60.0
"""Seconds that the clock of LangBot's machine may be wrong."""


def check_login(request: Request, settings: Settings) -> None:
    """Raises `Problem` (`unauthorized`). Its text is shown in a chat by some settings of LangBot: no secret in it."""
    authorization = request.headers.get("authorization", "")
    match settings.n8n_auth:
        case "none":
            check_secret(request, settings)
        case "basic":
            wanted = f"{_text(settings.n8n_basic_username)}:{_text(settings.n8n_basic_password)}"
            if not is_same(_basic(authorization), wanted):
                raise _refused("user name and password (authentication `basic`)")
        case "header":
            if not is_same(request.headers.get(_text(settings.n8n_header_name), ""), _text(settings.n8n_header_value)):
                raise _refused("the header of N8N_HEADER_NAME (authentication `header`)")
        case "jwt":
            scheme, _, token = authorization.partition(" ")
            _check_token(token.strip() if scheme.lower() == "bearer" else "", _text(settings.n8n_jwt_secret))


def _check_token(token: str, secret: str) -> None:
    """Only HS256, whatever the token says, and only while it is valid."""
    import jwt  # noqa: PLC0415 - with its cryptography, 0.1 s that only this login needs

    try:
        jwt.decode(token, secret, algorithms=["HS256"], leeway=_LEEWAY, options={"require": ["exp"]})
    except jwt.ExpiredSignatureError:
        raise _refused("a token that has not expired (is the clock of LangBot's machine right?)") from None
    except jwt.PyJWTError:
        raise _refused("a token that was made with N8N_JWT_SECRET and HS256 (authentication `jwt`)") from None


def _basic(authorization: str) -> str:
    """`user:password`, or an empty text."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _refused(wanted: str) -> Problem:
    return Problem("unauthorized", f"The n8n runner must send {wanted}: see N8N_AUTH.")
