"""A process that exits because nobody listens where it wanted to connect to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from mika.supervisor.cause import find_cause
from mika.supervisor.refused import fix_for_refused

from tests.kit.machine import free_port

TONIC = (
    'RuntimeError: Failed client connect: tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect'
    ' error", 127.0.0.1:{}, Os {{ code: 111, kind: ConnectionRefused, message: "Connection refused" }})))'
)
OURS = "127.0.0.1:7233"


@pytest.fixture(name="port")
def _port() -> Iterator[int]:
    with free_port() as port:
        yield port


@pytest.mark.parametrize(
    "error",
    [
        TONIC,
        "2026/11/30 05:02:39 failed reaching server: dial tcp 127.0.0.1:{}: connect: connection refused",
        "io.grpc.StatusRuntimeException: UNAVAILABLE: Connection refused: localhost/127.0.0.1:{}",
    ],
)
def test_another_server_than_that_of_the_stack(port, error):
    line = error.format(port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        own_port = server.getsockname()[1]
        ours = f"127.0.0.1:{own_port}"
        cause = asyncio.run(find_cause([line], 1, [], ours))
        assert cause.text == f"it looks for Temporal at 127.0.0.1:{port}, where nothing listens"
        assert cause.fix == "let it connect to the address in TEMPORAL_ADDRESS, which every process gets"
        with socket.create_server(("127.0.0.1", port)):
            assert not asyncio.run(find_cause([line], 1, [], ours)), "it is there now"
    assert not asyncio.run(find_cause([line], 1, [], ours)), "a process of the project may be about to serve it"
    at_ours = error.format(own_port)
    assert not asyncio.run(find_cause([at_ours], 1, [], ours)), "it is told elsewhere what ails our server"
    assert not fix_for_refused([at_ours], at_ours, ours)


@pytest.mark.parametrize(
    ("error", "host"),
    [
        ("Error: connect ECONNREFUSED 127.0.0.1:{}", "127.0.0.1"),
        ("Error: connect ECONNREFUSED ::1:{}", "[::1]"),
        ("redis.exceptions.ConnectionError: Error 111 connecting to localhost:{}. Connection refused.", "localhost"),
        ("OSError: [Errno 111] Connect call failed ('127.0.0.1', {})", "127.0.0.1"),
        ('connection to server at "127.0.0.1", port {} failed: Connection refused', "127.0.0.1"),
        ("ConnectionRefusedError: [WinError 10061] ---: ('127.0.0.1', {})", "127.0.0.1"),
    ],
)
def test_a_service_that_is_not_there(port, error, host):
    line = error.format(port)
    assert fix_for_refused([], line, OURS) == f"nothing listens on {host}:{port}: start what it needs there"


def test_an_address_that_only_the_source_names(port):
    error = "ConnectionRefusedError: [Errno 111] Connection refused"
    source = f'    socket.create_connection(("127.0.0.1", {port}))'
    assert f"127.0.0.1:{port}" in fix_for_refused([source, error], error, OURS)
    assert not fix_for_refused([source, "listening on 127.0.0.1:81", error], error, OURS), "it may be either"


@pytest.mark.parametrize(
    "error",
    [
        "Error: connect ECONNREFUSED 10.0.0.5:6379",
        "ValueError: 127.0.0.1:6379 is wrong",
        "ConnectionError: refused",
        "refused by 127.0.0.1",
        "refused: 8127.0.0.1:6379",
    ],
)
def test_what_does_not_name_one(error):
    assert not fix_for_refused([error], error, OURS)
