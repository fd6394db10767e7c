"""A small HTTP client. It returns the answer of the server, or why there is none, and raises no errors for either."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from mika import __version__
from mika.address import is_loopback
from mika.errors import describe
from mika.frozen import frozen
from mika.wording import _, received

if TYPE_CHECKING:
    from http.client import HTTPConnection

MAX_BODY = 200_000
"""How many bytes of a body to read at most."""

_TICK = 0.1  # s; on Windows Ctrl-C does not end a wait for a thread either

DIRECT: Mapping[str, str] = MappingProxyType({})
"""Use no proxy: for all servers that belong to the project."""


@frozen
class Answer:
    """`kind` is `http` for an answer. Otherwise it is `refused` (no connection), `silent` (connected, but no complete
    answer in time) or `foreign` (the answer was not HTTP, or was cut off).

    `reason` is the HTTP phrase for the status, or why there is no answer. The names of headers are in lower case.
    """

    kind: Literal["http", "refused", "silent", "foreign"]
    status: int = 0
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    proxy: str = ""
    """The proxy that was used, without its password; empty if the connection was direct."""

    @property
    def json(self) -> dict[str, Any]:
        """The object in the body; an empty one if the body is not a JSON object.

        The texts of one that knows `mika.wording.packed`, as the bot's API does, can be translated.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return received(value) if isinstance(value, dict) else {}


async def get(url: str, timeout: float = 2.0) -> Answer:
    """GET from a server of this project, without a proxy. `timeout` is in seconds, for the whole exchange."""
    return await request_async("GET", url, proxies=DIRECT, timeout=timeout)


def request(
    method: str,
    url: str,
    *,
    proxies: Mapping[str, str],
    timeout: float,
    payload: object = None,
    headers: Mapping[str, str] | None = None,
    max_body: int = MAX_BODY,
) -> Answer:
    """Send one request, with `payload` as JSON if it is not None. Redirects are not followed.

    `proxies` is DIRECT or the result of `proxies_of`; this machine is never reached through a proxy. `timeout` is in
    seconds, for everything. At most `max_body` bytes of the body are read.
    """
    import http.client  # noqa: F401 - this and `ssl` take long on a busy machine: not within the timeout
    import ssl  # noqa: F401

    exchange = _Exchange(method, url, dict(headers or {}), payload, proxies, timeout, max_body)
    answers: list[Answer] = []
    # In a thread: the timeout of a socket starts again with each byte, and on Windows Ctrl-C does not end a read.
    thread = threading.Thread(target=lambda: answers.append(exchange.run()), name="http", daemon=True)
    deadline = time.monotonic() + timeout
    thread.start()
    try:
        while thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            thread.join(min(left, _TICK))
        return answers[0] if answers else exchange.overdue()
    finally:
        exchange.stop()


async def request_async(
    method: str,
    url: str,
    *,
    proxies: Mapping[str, str],
    timeout: float,
    payload: object = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Like `request`, without blocking the event loop. Here the timeout includes the name lookup."""
    import asyncio

    from mika.machine.local import in_thread

    exchange = _Exchange(method, url, dict(headers or {}), payload, proxies, timeout, MAX_BODY)
    try:
        async with asyncio.timeout(timeout):
            return await in_thread(exchange.run)
    except TimeoutError:
        return exchange.overdue()
    finally:
        exchange.stop()


def proxies_of(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The proxies by scheme (`http`, `https`, `all`), and under `no` the hosts that are reached without a proxy.

    They are taken from `http_proxy` and the similar variables, in lower case (preferred) or upper case, or else from
    the settings of the system.
    """
    from urllib.request import getproxies

    by_scheme: dict[str, str] = {}
    for name in sorted(name for name in environ if name.lower().endswith("_proxy")):
        scheme = name.lower().removesuffix("_proxy")
        by_scheme[scheme] = environ[name]
    return {scheme: url for scheme, url in by_scheme.items() if url} or getproxies()


def proxy_for(url: SplitResult, proxies: Mapping[str, str]) -> SplitResult | None:
    """The proxy to ask for `url`; None if the server itself is to be asked. `proxies` as in `request`."""
    proxy, host = proxies.get(url.scheme) or proxies.get("all"), url.hostname or ""
    if not proxy:
        return None
    from mika.machine.local import is_this_machine

    if is_loopback(host) or is_this_machine(host) or _is_excepted(url, proxies.get("no", "")):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _is_excepted(url: SplitResult, no_proxy: str) -> bool:
    """Whether `no_proxy` contains the host (with or without its port), a parent domain, or `*`."""
    names = {url.hostname or "", _without_user(url).lower()}
    entries = [entry.strip().lower().removeprefix("*.").removeprefix(".") for entry in no_proxy.split(",")]
    return any(entry in ("*", name) or name.endswith(f".{entry}") for entry in entries if entry for name in names)


def without_login(proxy: SplitResult) -> str:
    """The proxy's address, without user name and password."""
    return f"{proxy.scheme}://{_without_user(proxy)}"


def _without_user(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


class _Exchange:
    """One request. `run` blocks; another thread may call `stop` meanwhile."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        payload: object,
        proxies: Mapping[str, str],
        timeout: float,
        max_body: int,
    ) -> None:
        self._method, self._url, self._proxies = method, url, proxies
        self._timeout, self._max_body = timeout, max_body
        self._headers = {"Connection": "close", "User-Agent": f"mika/{__version__}", **headers}
        self._body = None
        if payload is not None:
            self._body = json.dumps(payload).encode()
            self._headers["Content-Type"] = "application/json"
        self._socket: socket.socket | None = None
        self._stopped = False
        self._proxy = ""

    def run(self) -> Answer:
        from http.client import HTTPException
        from ssl import SSLError

        try:
            answer = self._exchange()
            return self.overdue() if self._stopped else answer
        except TimeoutError:
            return self.overdue()
        except (OSError, ValueError, HTTPException) as error:
            if self._stopped:
                return self.overdue()
            has_connected = self._socket is not None or not isinstance(error, OSError) or isinstance(error, SSLError)
            return Answer("foreign" if has_connected else "refused", reason=short_reason(error), proxy=self._proxy)

    def overdue(self) -> Answer:
        """The answer after the timeout."""
        if self._socket is None:
            return Answer(
                "refused", reason=_("no connection within {seconds:g} s", seconds=self._timeout), proxy=self._proxy
            )
        return Answer("silent", reason=_("no answer within {seconds:g} s", seconds=self._timeout), proxy=self._proxy)

    def stop(self) -> None:
        """Abort the request: a blocked read returns."""
        self._stopped = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _exchange(self) -> Answer:
        from http.client import IncompleteRead

        connection, target = self._connection()
        with contextlib.closing(connection):
            connection.connect()
            self._socket = connection.sock
            if self._stopped:  # while it was connecting
                return self.overdue()
            connection.request(self._method, target, self._body, self._headers)
            with connection.getresponse() as answer:
                body = answer.read(self._max_body)
                if answer.length and len(body) < self._max_body:
                    raise IncompleteRead(body, answer.length)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer("http", answer.status, answer.reason, headers, body, self._proxy)

    def _connection(self) -> tuple[HTTPConnection, str]:
        """The connection to the server or its proxy, and the target of the request."""
        from http.client import HTTPConnection, HTTPSConnection

        url = urlsplit(self._url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        proxy = proxy_for(url, self._proxies)
        if proxy is None:
            return kind(url.hostname or "", url.port, timeout=self._timeout), target
        self._proxy = without_login(proxy)
        if proxy.scheme not in ("http", "https"):
            raise ValueError(_("{scheme} proxies are not supported", scheme=proxy.scheme))
        login = _login(proxy)
        if url.scheme == "https":
            tunnel = HTTPSConnection(proxy.hostname or "", proxy.port or 80, timeout=self._timeout)
            tunnel.set_tunnel(url.hostname or "", url.port, login)
            return tunnel, target
        self._headers |= login
        kind = HTTPSConnection if proxy.scheme == "https" else HTTPConnection
        return kind(proxy.hostname or "", proxy.port, timeout=self._timeout), f"http://{_without_user(url)}{target}"


def _login(proxy: SplitResult) -> dict[str, str]:
    from base64 import b64encode

    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def short_reason(error: Exception) -> str:
    """A short message of the error."""
    if isinstance(error, OSError) and not isinstance(error, ConnectionError) and error.strerror:
        return error.strerror
    return describe(error)
