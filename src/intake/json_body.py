"""Any JSON object, decoded."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from src.intake.problems import Problem

_MAX_VALUES = 250_000
"""Of arrays and objects together. Millions would hold up everybody else for seconds."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in `body`. Half a surrogate pair in a text, which chat programs do send, becomes `?`.

    Raises `Problem` (`invalid_message`, `message_too_large`).
    """
    # Each value has one of these in front of it. They also occur in texts, which are short, but not in base64.
    if body.count(b",") + body.count(b"{") + body.count(b"[") > _MAX_VALUES:
        raise Problem("message_too_large", f"The body has more than {_MAX_VALUES} values.")
    try:
        decoded: object = _from_json(body)
    except ValueError as error:
        raise Problem("invalid_message", f"The body is not JSON: {_one_line(str(error))}") from None
    if not isinstance(decoded, dict):
        raise Problem("invalid_message", "The body must be a JSON object.")
    return decoded


def invalid(error: ValidationError) -> Problem:
    """The problem of a body that is JSON, but not what is expected."""
    items = (f"`{'.'.join(str(part) for part in item['loc']) or 'body'}`: {item['msg']}" for item in error.errors())
    return Problem("invalid_message", _one_line("; ".join(items)))


def _from_json(body: bytes) -> object:
    try:
        return from_json(body)
    except ValueError:
        if b"\\u" not in body:
            raise
        try:
            # Python's own decoder joins pairs and lets halves through; UTF-8 then has no room for them.
            text = json.dumps(json.loads(body), ensure_ascii=False)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        return from_json(text.encode("utf-8", "replace"))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
