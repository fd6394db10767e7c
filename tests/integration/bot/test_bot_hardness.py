"""Clients that hold back what they owe, leave, or are too many. Real sockets; no Temporal runs here."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.kit.bot_processes import BotProcesses
from tests.kit.machine import free_port, poll_until

pytestmark = pytest.mark.xdist_group("hardness")
HEAD = b"POST /webhook/langbot HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def bot(tmp_path_factory):
    with free_port() as port, BotProcesses(tmp_path_factory.mktemp("bot"), port) as bot:
        bot.api = bot.start_api()
        yield bot


def connect(bot):
    client = socket.create_connection((bot.http.base_url.host, bot.http.base_url.port), timeout=30)
    client.settimeout(30)
    return client


def everything(client):
    """All that the server says until it closes the connection."""
    got = b""
    while chunk := client.recv(65536):
        got += chunk
    return got


def answer(client):
    """Status and body of one answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += client.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(
        next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    )
    while len(body) < length:
        body += client.recv(65536)
    return int(head.split()[1]), json.loads(body)


def drip(client, first, byte, until):
    """Send a byte now and then until the server has had enough. Returns the seconds that it took."""
    began = time.monotonic()
    client.sendall(first)
    client.settimeout(0.5)
    while time.monotonic() - began < until:
        try:
            client.sendall(byte)
            if client.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            continue
        except OSError:
            break
    client.settimeout(30)
    return time.monotonic() - began


def headers_that_never_end(bot):
    with connect(bot) as client:
        assert 4 < drip(client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"a", 12) < 9
        got = everything(client)
        assert got.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in got


def a_second_request_whose_headers_never_end(bot):
    with connect(bot) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(client)[0] == 200
        time.sleep(2)
        assert 4 < drip(client, b"GET /healthz HTTP/1.1\r\n", b"a", 12) < 9


def test_bytes_that_are_not_http(bot):
    with connect(bot) as client:
        client.sendall(b"hello\r\n\r\n")
        status, body = answer(client)
        assert (status, body["code"]) == (400, "bad_request")
        assert everything(client) == b""


def a_connection_without_a_request(bot):
    with connect(bot) as client:
        began = time.monotonic()
        assert everything(client) == b""
        assert 4 < time.monotonic() - began < 9


def a_body_that_never_ends(bot):
    with connect(bot) as client:
        assert 9 < drip(client, HEAD + b"Content-Length: 5000\r\n\r\n{", b" ", 20) < 13
        status, problem = answer(client)
        assert (status, problem["code"]) == (408, "request_timeout")


def a_body_that_nobody_reads(bot):
    head = HEAD.replace(b"POST /webhook/langbot", b"POST /nothing")
    with connect(bot) as client:
        client.sendall(head + b"Content-Length: 5000\r\n\r\n{")
        assert answer(client)[0] == 404
        assert 8 < drip(client, b" ", b" ", 30) < 16


def a_keep_alive_connection_serves_many_requests_slowly(bot):
    with connect(bot) as client:
        for _ in range(3):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(client)[0] == 200
            time.sleep(3)


def test_whoever_holds_back_is_given_an_end_and_whoever_is_only_slow_is_served(bot):
    """All at the same time, since each takes its seconds."""
    clients = (
        headers_that_never_end,
        a_second_request_whose_headers_never_end,
        a_connection_without_a_request,
        a_body_that_never_ends,
        a_body_that_nobody_reads,
        a_keep_alive_connection_serves_many_requests_slowly,
    )
    with ThreadPoolExecutor(len(clients)) as threads:
        running = {client.__name__: threads.submit(client, bot) for client in clients}
    failures = {name: one.exception() for name, one in running.items() if one.exception()}
    assert not failures, "\n".join(f"{name}: {error!r}" for name, error in failures.items())


def test_a_client_that_leaves_is_one_line(bot):
    before = len(bot.api.output().splitlines())
    with connect(bot) as client:
        client.sendall(HEAD + b"Content-Length: 5000\r\n\r\n{")
        time.sleep(0.5)
    poll_until(lambda: len(bot.api.output().splitlines()) > before, 10, "the line")
    time.sleep(0.5)
    lines = [json.loads(line) for line in bot.api.output().splitlines()[before:]]
    assert [line["event"] for line in lines] == ["client_left"]
    assert "exception" not in lines[0]


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048:
        if hard != resource.RLIM_INFINITY and hard < 2048:
            pytest.skip("needs 2,048 open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_memory_is_bounded_while_large_bodies_are_held_back(bot, many_files):
    api = psutil.Process(bot.api.popen.pid)
    before = api.memory_info().rss
    size = 1_000_000
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(bot)) for _ in range(300)]
        for client in clients:
            client.setblocking(False)
        begun = HEAD + b"Content-Length: %d\r\n\r\n{" % size
        left = {client: memoryview(begun + b" " * (size - 2)) for client in clients}
        highest, began = before, time.monotonic()
        while time.monotonic() - began < 6:
            for client in clients:
                try:
                    left[client] = left[client][client.send(left[client]) :] if left[client] else left[client]
                except BlockingIOError:
                    continue
            time.sleep(0.02)
            highest = max(highest, api.memory_info().rss)
        # What everybody else sends is answered meanwhile.
        response = bot.http.post(
            "/webhook/langbot", content=b'{"user_id": "u"}', headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 422
        assert bot.http.get("/healthz").elapsed.total_seconds() < 2
        refused = []
        for client in clients:
            client.settimeout(30)
            refused.append(answer(client)[1]["code"])
    assert set(refused) == {"request_timeout", "api_overloaded"}
    print(f"{(highest - before) / 1e6:.0f} MB more, {refused.count('api_overloaded')} refused")
    assert (highest - before) / 1e6 < 160  # of 300
    # All of it is given back.
    large = b'{"user_id": "u", "message": "' + b"x" * 900_000 + b'"}'
    response = bot.http.post("/webhook/langbot", content=large, headers={"Content-Type": "application/json"})
    assert response.json()["code"] == "message_too_large"


def pushed(message):
    data = {"bot_uuid": "b", "sender": {"id": 1}, "group": {"id": 2}, "message": message}
    return json.dumps({"event_type": "bot.group_message", "uuid": "u", "data": data}, separators=(",", ":")).encode()


def posted(message):
    event = {"post_type": "message", "message_type": "group", "self_id": 3, "user_id": 1, "group_id": 2}
    return json.dumps({**event, "message": message}).encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/webhook/langbot", pushed([{}] * 4_000_000)),
        ("/webhook/langbot", pushed([{"type": "At", "target": "1"}] * 200_000)),
        ("/webhook/langbot", pushed([{"type": "Plain", "text": "x y " * 3_250_000}])),
        ("/onebot", posted("[CQ:a]" * 400_000)),
        ("/onebot", posted("[CQ:a" + "," * 5_000_000)),
        ("/onebot", posted("x y " * 3_250_000)),
    ],
    ids=["components", "mentions", "text", "codes", "commas", "onebot text"],
)
def test_nobody_waits_while_a_message_is_far_too_large(bot, path, body):
    began = time.monotonic()
    answers = []

    def post():
        headers = {"Content-Type": "application/json"}
        answers.append(httpx.post(f"{bot.http.base_url}{path}", content=body, headers=headers, timeout=60))

    thread = threading.Thread(target=post)
    thread.start()
    slowest = 0.0
    while thread.is_alive():
        slowest = max(slowest, bot.http.get("/healthz").elapsed.total_seconds())
        time.sleep(0.02)
    thread.join()
    print(f"/healthz within {slowest:.2f} s, the answer after {time.monotonic() - began:.2f} s")
    assert (answers[0].status_code, answers[0].json()["code"]) == (413, "message_too_large")
    assert slowest < 2


def test_too_many_connections_get_a_problem_but_the_probe_an_answer(bot, many_files):
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(bot)) for _ in range(900)]
        clients[0].sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(clients[0])[0] == 200
        with connect(bot) as late:
            late.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, problem = answer(late)
            assert (status, problem["code"]) == (503, "api_overloaded")
            late.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(late)[0] == 200
            clients[1].sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(clients[1])[0] == 200, "who came before is served"
            for client in clients[-10:]:
                client.close()

            def is_served():
                late.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return answer(late)[0] == 200

            poll_until(is_served, 10, "room for the one that came late")
    poll_until(lambda: bot.http.get("/openapi.json").status_code == 200, 10, "room again")
