"""The HTTP client against real sockets: it tells what a server does, and never raises for it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import Self

import pytest
from mika import __version__
from mika.machine import http
from mika.machine.http import DIRECT, Answer, proxies_of

from tests.kit.machine import DEADLINE, free_port, poll_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Peer:
    """A server that answers each connection with `answer`, and keeps what it was asked. None: it says nothing.

    `drip`: it sends the answer byte by byte, for ever.
    """

    def __init__(self, answer: bytes | None, *, drip: bool = False) -> None:
        self._answer, self._drip = answer, drip
        self.requests: list[bytes] = []
        self.hung_up = threading.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._tasks: set[asyncio.Task[None] | None] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in filter(None, self._tasks):
            task.cancel()
        await asyncio.gather(*filter(None, self._tasks), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                self.requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
                if self._drip:
                    for byte in itertools.cycle(self._answer or b""):
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.02)
                elif self._answer is None:
                    await reader.read()
                else:
                    writer.write(self._answer)
                    await writer.drain()
            finally:
                self.hung_up.set()
                writer.close()


def ask(answer: bytes | None, *, timeout: float = 5.0, drip: bool = False) -> Answer:
    """What both ways to ask say of such a server."""

    async def main() -> tuple[Answer, Answer]:
        async with Peer(answer, drip=drip) as peer:
            url = f"{peer.url}/a?b=c"
            blocking = asyncio.to_thread(lambda: http.request("GET", url, proxies=DIRECT, timeout=timeout))
            return await http.get(url, timeout), await blocking

    one, other = asyncio.run(main())
    assert one == other
    return one


# --- what a server does -----------------------------------------------------------------------------------------------


def test_an_access_log_tells_who_asks() -> None:
    async def ask() -> bytes:
        async with Peer(OK) as peer:
            await http.get(peer.url)
            return peer.requests[0]

    assert f"User-Agent: mika/{__version__}\r\n".encode() in asyncio.run(ask())


def test_an_answer():
    answer = ask(b"HTTP/1.1 418 I am a Teapot\r\nX-Some: Thing\r\nContent-Length: 8\r\n\r\n" + b'{"a": 1}')
    assert (answer.kind, answer.status, answer.reason) == ("http", 418, "I am a Teapot")
    assert answer.headers["x-some"] == "Thing"
    assert answer.json == {"a": 1}
    assert answer.proxy == ""


@pytest.mark.parametrize("body", [b"", b"[1]", b"<html>", b"\xff\xfe\xfd", b"[" * 100_000])
def test_a_body_that_is_no_object(body):
    assert Answer("http", 200, body=body).json == {}


def test_nobody_listens():
    with free_port() as port:
        answer = asyncio.run(http.get(f"http://127.0.0.1:{port}/"))
    assert (answer.kind, answer.reason) == ("refused", "connection refused")


@pytest.mark.parametrize(
    "answer",
    [
        b"220 smtp ready\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 nonsense OK\r\n\r\n",
    ],
)
def test_what_does_not_speak_http(answer):
    found = ask(answer)
    assert found.kind == "foreign"
    assert found.reason


def test_a_server_that_says_nothing():
    answer = ask(None, timeout=0.2)
    assert (answer.kind, answer.reason) == ("silent", "no answer within 0.2 s")


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxxx"])
def test_a_server_that_sends_a_byte_now_and_then_is_bounded_too(drip):
    began = time.monotonic()
    assert ask(drip, timeout=0.5, drip=True).kind == "silent"
    assert time.monotonic() - began < DEADLINE


def test_nothing_is_left_when_nobody_waits_any_more():
    async def main() -> None:
        async with Peer(None) as peer:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await http.get(peer.url, 600)
            assert await asyncio.to_thread(peer.hung_up.wait, DEADLINE), "the connection is closed"

    before = threading.active_count()
    asyncio.run(main())
    poll_until(lambda: threading.active_count() <= before, DEADLINE, "its thread is over")


def test_the_body_is_bounded():
    async def main() -> Answer:
        async with Peer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000) as peer:
            return await asyncio.to_thread(
                lambda: http.request("GET", peer.url, proxies=DIRECT, timeout=5, max_body=1000)
            )

    assert asyncio.run(main()).body == b"x" * 1000


def test_a_redirect_is_an_answer():
    answer = ask(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.headers["location"]) == (302, "http://192.0.2.1/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:notaport/",
        "http://[::1/",
        "http://",
        "http:///path",
        "http://127.0.0.1:1/a b",
        "http://127.0.0.1:1/\n",
        f"http://{'a' * 100}.example.invalid/",
        "http://name.invalid/",
    ],
)
def test_an_address_that_leads_nowhere(url):
    answer = asyncio.run(http.get(url, 5))
    assert answer.kind in ("refused", "foreign", "silent")
    assert answer.reason


def test_a_payload_is_sent_as_json():
    async def main() -> bytes:
        async with Peer(OK) as peer:
            await http.request_async(
                "POST", f"{peer.url}/in", proxies=DIRECT, timeout=5, payload={"é": 1}, headers={"X-Mine": "yes"}
            )
            return peer.requests[0]

    request = asyncio.run(main())
    assert request.startswith(b"POST /in HTTP/1.1\r\n")
    assert b"X-Mine: yes\r\n" in request
    assert b"Content-Type: application/json\r\n" in request
    assert request.endswith(b'{"\\u00e9": 1}')


def test_tls_that_cannot_be_trusted(tmp_path):
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout own.pem -out own.crt"
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "own.crt", tmp_path / "own.pem")

    async def main() -> Answer:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context) as server:
            return await http.get(f"https://localhost:{server.sockets[0].getsockname()[1]}/", 5)

    answer = asyncio.run(main())
    assert answer.kind == "foreign"
    assert "certificate" in answer.reason.lower()


# --- proxies ----------------------------------------------------------------------------------------------------------


def through(answer: bytes, url: str, **proxies: str) -> tuple[Answer, list[bytes]]:
    """Asks for `url` with a proxy that answers `answer`; `PROXY` in `proxies` is its address without the scheme."""

    async def main() -> tuple[Answer, list[bytes]]:
        async with Peer(answer) as proxy:
            named = {name: value.replace("PROXY", f"127.0.0.1:{proxy.port}") for name, value in proxies.items()}
            found = await http.request_async("GET", url, proxies=named, timeout=5)
            return found, proxy.requests

    return asyncio.run(main())


def test_an_outside_server_is_asked_through_the_proxy():
    answer, requests = through(OK, "http://user:pw@models.invalid:81/v1?a=b", http="http://me:p%40ss@PROXY")
    assert answer.status == 200
    assert answer.proxy.startswith("http://127.0.0.1:"), "its password is not shown"
    assert requests[0].startswith(b"GET http://models.invalid:81/v1?a=b HTTP/1.1\r\n")
    assert b"Host: models.invalid:81\r\n" in requests[0]
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in requests[0]


def test_a_tunnel_that_the_proxy_refuses():
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    answer, requests = through(refused, "https://models.invalid/v1", https="PROXY")
    assert answer.kind == "refused"
    assert "403" in answer.reason
    assert answer.proxy.startswith("http://127.0.0.1:")
    assert requests[0].startswith(b"CONNECT models.invalid:443 HTTP/1.")


def test_a_proxy_that_is_not_there():
    with free_port() as port:
        answer = asyncio.run(
            http.request_async("GET", "http://models.invalid/", proxies={"all": f"127.0.0.1:{port}"}, timeout=5)
        )
    assert (answer.kind, answer.reason, answer.proxy) == ("refused", "connection refused", f"http://127.0.0.1:{port}")


def test_a_proxy_of_another_kind():
    answer, _ = through(OK, "http://models.invalid/", all="socks5://PROXY")
    assert (answer.kind, answer.proxy[:16]) == ("foreign", "socks5://127.0.0")
    assert "socks5" in answer.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", socket.gethostname()])
def test_this_machine_is_never_asked_through_a_proxy(host):
    with free_port() as port:
        proxies = {"http": "http://192.0.2.1:9", "https": "http://192.0.2.1:9"}
        answer = asyncio.run(http.request_async("GET", f"http://{host}:{port}/", proxies=proxies, timeout=5))
    assert answer.kind == "refused"
    assert answer.proxy == ""


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("models.invalid", True),
        ("other.example, MODELS.invalid:81", True),
        ("models.invalid:82", False),
        (".invalid", True),
        ("*.invalid", True),
        ("*", True),
        ("dels.invalid", False),
        (" , ", False),
    ],
)
def test_exceptions(no_proxy, is_direct):
    answer, requests = through(OK, "http://models.invalid:81/", http="PROXY", no=no_proxy)
    assert (answer.proxy == "") is is_direct
    assert (requests == []) is is_direct


def test_the_proxies_of_an_environment():
    environ = {
        "HTTP_PROXY": "upper",
        "http_proxy": "lower",
        "HTTPS_PROXY": "https",
        "https_proxy": "",
        "No_Proxy": "a,b",
        "OTHER": "x",
    }
    assert proxies_of(environ) == {"http": "lower", "no": "a,b"}


def test_heavy_modules_are_not_imported_with_it():
    code = "import sys, mika.machine.http; print({'http.client', 'urllib.request', 'asyncio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
