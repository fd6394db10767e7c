"""Does a project speak the webhook of LangBot, as the bot of this repository does? `mika send` needs that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mika.config.load import Config
from mika.detect.files import Files
from mika.machine import http

PATH = "/webhook/langbot"
_TIMEOUT = 1.0


async def is_spoken(config: Config) -> bool:
    """Whether the API at API_HOST and API_PORT lists it in its OpenAPI description. Takes a second at most."""
    url = f"{config.api_url}/openapi.json"
    answer = await http.request_async("GET", url, proxies=http.DIRECT, timeout=_TIMEOUT, headers=secret_header(config))
    paths = answer.json.get("paths")
    return isinstance(paths, dict) and PATH in paths


async def is_among(urls: Mapping[str, str], config: Config) -> bool:
    """Whether one of `urls` is where the bot's API is to listen, and speaks it."""
    return config.api_url in urls.values() and await is_spoken(config)


def secret_header(config: Config) -> dict[str, str]:
    """What shows WEBHOOK_SECRET to the bot's API, if there is one."""
    secret = config.text("WEBHOOK_SECRET")
    return {"X-Webhook-Secret": secret} if secret else {}


def is_in_source(project: Path) -> bool:
    """Whether a Python file of the project names it. Blocks for a second at most."""
    files = Files(project)
    return any(PATH.encode() in files.read(path) for path in files.python)
