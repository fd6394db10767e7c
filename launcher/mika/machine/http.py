"""The one HTTP client: what a server answers, or why it does not. It raises for nothing that a server does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from mika.address import is_loopback
from mika.errors import describe

if TYPE_CHECKING:
    from http.client import HTTPConnection

MAX_BODY = 200_000
"""Bytes of a body that are read."""

DIRECT: Mapping[str, str] = MappingProxyType({})
"""No proxy: for everything that belongs to a project."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind`: `http`, or why there is none: `refused` (no connection), `silent` (connected, and no whole answer in
    time), `foreign` (what answers does not speak HTTP, or not to the end).

    `reason`: HTTP's own phrase for the status, or why there is no answer. Names of headers are in lower case.
    """

    kind: Literal["http", "refused", "silent", "foreign"]
    status: int = 0
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    proxy: str = ""
    """The proxy that was asked, without its password; empty: the server itself was."""

    @property
    def json(self) -> dict[str, Any]:
        """The object that the body holds; an empty one when it holds something else."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


async def get(url: str, timeout: float = 2.0) -> Answer:
    """GET from a server of this project: no proxy is used. `timeout`: seconds for all of it."""
    return await request_async("GET", url, proxies=DIRECT, timeout=timeout)


def request(
    method: str,
    url: str,
    *,
    proxies: Mapping[str, str],
    timeout: float,
    payload: Any = None,
    headers: Mapping[str, str] | None = None,
    max_body: int = MAX_BODY,
) -> Answer:
    """One request, with `payload` as JSON where it is not None. Redirects are not followed.

    `proxies` is DIRECT, or what `proxies_of` gives: even then this machine is asked directly. `timeout`: seconds for
    all of it but the look-up of the name. At most `max_body` bytes of the body are read.
    """
    exchange = _Exchange(method, url, dict(headers or {}), payload, proxies, timeout, max_body)
    watchdog = threading.Timer(timeout, exchange.stop)  # a socket's own time-out begins anew with each byte
    watchdog.daemon = True
    watchdog.start()
    try:
        return exchange.run()
    finally:
        watchdog.cancel()


async def request_async(
    method: str,
    url: str,
    *,
    proxies: Mapping[str, str],
    timeout: float,
    payload: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """`request` for an event loop, which goes on meanwhile. Here the time-out bounds the look-up of the name, too."""
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
    """The proxies by scheme (`http`, `https`, `all`), and under `no` the hosts without one.

    That is what `http_proxy` and its like say in either case (of both, lower case counts); where they say nothing,
    the system's settings.
    """
    from urllib.request import getproxies

    named: dict[str, str] = {}
    for name in sorted(name for name in environ if name.lower().endswith("_proxy")):
        scheme = name.lower().removesuffix("_proxy")
        named[scheme] = environ[name]
    return {scheme: url for scheme, url in named.items() if url} or getproxies()


def _proxy_for(url: SplitResult, proxies: Mapping[str, str]) -> SplitResult | None:
    proxy, host = proxies.get(url.scheme) or proxies.get("all"), url.hostname or ""
    if not proxy:
        return None
    from mika.machine.local import is_this_machine

    if is_loopback(host) or is_this_machine(host) or _is_excepted(url, proxies.get("no", "")):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _is_excepted(url: SplitResult, no_proxy: str) -> bool:
    """Whether `no_proxy` has the host, with or without its port, a domain above it, or `*`."""
    names = {url.hostname or "", _without_user(url).lower()}
    entries = [entry.strip().lower().removeprefix("*.").removeprefix(".") for entry in no_proxy.split(",")]
    return any(entry in ("*", name) or name.endswith(f".{entry}") for entry in entries if entry for name in names)


def _without_user(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


class _Exchange:
    """One request, in whatever thread calls `run`. `stop` may be called from another one."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        payload: Any,
        proxies: Mapping[str, str],
        timeout: float,
        max_body: int,
    ) -> None:
        self._method, self._url, self._proxies = method, url, proxies
        self._timeout, self._max_body = timeout, max_body
        self._headers = {"Connection": "close", "User-Agent": "mika", **headers}
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
            spoke = self._socket is not None or not isinstance(error, OSError) or isinstance(error, SSLError)
            return Answer("foreign" if spoke else "refused", reason=_words(error), proxy=self._proxy)

    def overdue(self) -> Answer:
        """The answer when time is up."""
        if self._socket is None:
            return Answer("refused", reason=f"no connection within {self._timeout:g} s", proxy=self._proxy)
        return Answer("silent", reason=f"no answer within {self._timeout:g} s", proxy=self._proxy)

    def stop(self) -> None:
        """Break it off: the read that waits for the server returns."""
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
            if self._stopped:  # while it connected: nobody waits any more
                return self.overdue()
            connection.request(self._method, target, self._body, self._headers)
            with connection.getresponse() as answer:
                body = answer.read(self._max_body)
                if answer.length and len(body) < self._max_body:
                    raise IncompleteRead(body, answer.length)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer("http", answer.status, answer.reason, headers, body, self._proxy)

    def _connection(self) -> tuple[HTTPConnection, str]:
        """To whom to connect, and what to ask for there."""
        from http.client import HTTPConnection, HTTPSConnection

        url = urlsplit(self._url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        proxy = _proxy_for(url, self._proxies)
        if proxy is None:
            return kind(url.hostname or "", url.port, timeout=self._timeout), target
        self._proxy = f"{proxy.scheme}://{_without_user(proxy)}"
        if proxy.scheme not in ("http", "https"):
            raise ValueError(f"a proxy of the kind {proxy.scheme} cannot be used from here")
        login = _login(proxy)
        if url.scheme == "https":
            through = HTTPSConnection(proxy.hostname or "", proxy.port or 80, timeout=self._timeout)
            through.set_tunnel(url.hostname or "", url.port, login)
            return through, target
        self._headers |= login
        kind = HTTPSConnection if proxy.scheme == "https" else HTTPConnection
        return kind(proxy.hostname or "", proxy.port, timeout=self._timeout), f"http://{_without_user(url)}{target}"


def _login(proxy: SplitResult) -> dict[str, str]:
    from base64 import b64encode

    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _words(error: Exception) -> str:
    """Why there was no answer, in as few words as there are."""
    if isinstance(error, OSError) and not isinstance(error, ConnectionError) and error.strerror:
        return error.strerror
    return describe(error)
