"""One HTTP request with all that is to be known of its answer."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from mika.machine.local import in_thread

_MOST = 200_000


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind`: `http`, or why there is none: `refused`, `silent` (connected, and no answer in time), `foreign`."""

    kind: Literal["http", "refused", "silent", "foreign"]
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """The object that it holds; an empty one when it holds something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


async def get(url: str, timeout: float = 2.0) -> Answer:
    """Never raises for what a server does. No redirect is followed, no proxy used."""
    return await in_thread(lambda: _get(url, timeout))


def _get(url: str, timeout: float) -> Answer:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    try:
        try:
            connection.connect()
        except OSError as error:
            return Answer("refused", error=error.strerror or str(error))
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"Connection": "close", "User-Agent": "mika-doctor"})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer("http", answer.status, headers, answer.read(_MOST))
        except TimeoutError:
            return Answer("silent", error=f"no answer within {timeout:g} s")
        except (http.client.HTTPException, OSError, ValueError) as error:
            return Answer("foreign", error=str(error) or type(error).__name__)
    finally:
        connection.close()
