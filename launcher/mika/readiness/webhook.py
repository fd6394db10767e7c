"""Does a project speak the webhook of LangBot, as the bot of this repository does? `mika send` needs that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mika.config.load import Config
from mika.detect.files import Files
from mika.machine import http

PATH = "/webhook/langbot"
_TIMEOUT = 1.0


async def is_spoken_at(url: str) -> bool:
    """Whether the API at `url` lists it in its OpenAPI description. Takes a second at most."""
    paths = (await http.get(f"{url}/openapi.json", _TIMEOUT)).json.get("paths")
    return isinstance(paths, dict) and PATH in paths


async def is_among(urls: Mapping[str, str], config: Config) -> bool:
    """Whether one of `urls` is where the bot's API is to listen, and speaks it."""
    return config.api_url in urls.values() and await is_spoken_at(config.api_url)


def is_in_source(project: Path) -> bool:
    """Whether a Python file of the project names it. Blocks for a second at most."""
    files = Files(project)
    return any(PATH.encode() in files.read(path) for path in files.python)
