"""The control channel: only who has the key is answered, and nobody can keep another one waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mika.control import client, requests, server, wire
from mika.control.address import control_address
from mika.control.client import ChannelError
from mika.errors import MikaError

from tests.kit.channel import ECHO, KEY, ask, call, connected, run, serving

if sys.platform == "win32":
    from mika.control import _windows as platform
else:
    from mika.control import _posix as platform

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a socket's file")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return control_address(tmp_path)


def test_a_request_and_its_answer(address):
    async def test() -> None:
        value = {"text": "中文\n\t\0 ", "list": [1, None, 2.5], "long": "x" * 50_000}
        assert await ask(address, KEY, call("echo", **value)) == value
        assert await ask(address, KEY, call("nothing")) is None

    run(address, test)


def test_the_error_of_the_supervisor_reaches_the_command(address):
    async def test() -> None:
        with pytest.raises(MikaError) as caught:
            await ask(address, KEY, call("usage"))
        error = caught.value
        assert (error.message, error.hint, error.code, error.exit_code) == (
            "no process is named 'x'",
            "there are: y",
            "unknown",
            2,
        )
        with pytest.raises(MikaError, match="KeyError"):
            await ask(address, KEY, call("fault"))
        assert await ask(address, KEY, call("echo", a=1)) == {"a": 1}

    run(address, test)


def test_a_wrong_key_is_refused(address):
    async def test() -> None:
        for wrong in ("", "k" * 63, secrets.token_hex(32)):
            with pytest.raises(ChannelError):
                await ask(address, wrong, call("echo"))
        assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_an_answer_without_the_key_is_not_believed(address):
    """Somebody else at the address: it cannot make a command show what it likes."""

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"0" * 32 + b"\n")
            await reader.readline()
            writer.write(b'{"result": "believe me"}\t' + b"0" * 64 + b"\n")
            writer.close()

        listener = await platform.listen(address, serve, 1000)
        try:
            with pytest.raises(ChannelError, match="not from the supervisor"):
                await ask(address, KEY, call("echo"))
        finally:
            await listener.close()

    asyncio.run(main())


def test_a_request_cannot_be_replayed(address):
    async def test() -> None:
        body = ECHO
        async with connected(address) as (reader, writer):
            nonce = (await reader.readline()).strip().decode()
            line = wire.signed_line(KEY, nonce, body)
            writer.write(line)
            assert b"result" in await reader.readline()
        async with connected(address) as (reader, writer):
            assert (await reader.readline()).strip().decode() != nonce
            writer.write(line)
            assert await reader.readline() == b""

    run(address, test)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
        ECHO + b"\n",
        ECHO + b"\t" + b"0" * 64 + b"\n",
        b"\t\n",
        b"\n",
        b"\xff\xfe\0\t\xff\n",
        b"\t\xc3\xa9\n",
        os.urandom(500) + b"\n",
    ],
    ids=["http", "no mac", "wrong mac", "empty", "nothing", "binary", "not ascii", "random"],
)
def test_garbage_gets_no_answer_and_harms_nobody(address, data):
    async def test() -> None:
        async with connected(address) as (reader, writer):
            await reader.readline()
            writer.write(data)
            assert await reader.read() == b""
        assert await ask(address, KEY, call("echo", a=1)) == {"a": 1}

    run(address, test)


@pytest.mark.parametrize("body", [b"[]", b"3", b'{"op": "echo"}', b'{"op": "tell", "verb": "start"}', b"{"])
def test_a_request_of_the_wrong_shape(address, body):
    """From somebody with the key, such as another version."""

    async def test() -> None:
        async with connected(address) as (reader, writer):
            nonce = (await reader.readline()).strip().decode()
            writer.write(wire.signed_line(KEY, nonce, body))
            answer = await reader.readline()
            assert json.loads(answer.rpartition(b"\t")[0])["error"]["code"] == "internal"
        assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_a_request_that_is_too_large_is_cut_off(address):
    async def test() -> None:
        with pytest.raises(ChannelError):
            await ask(address, KEY, call("echo", text="x" * (wire.MAX_REQUEST * 4)))
        async with connected(address) as (reader, writer):
            await reader.readline()
            with contextlib.suppress(ConnectionError):
                for _ in range(64):  # 4 MB without a newline
                    writer.write(b"x" * 65536)
                    await writer.drain()
                assert await reader.read() == b""
        assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_a_large_answer_arrives(address):
    async def test() -> None:
        value = {"text": "y" * 60_000}
        assert await asyncio.gather(*(ask(address, KEY, call("echo", **value)) for _ in range(8))) == [value] * 8

    run(address, test)


@pytest.mark.parametrize("silent", [16, server.MAX_CONNECTIONS, 3 * server.MAX_CONNECTIONS])
def test_silent_clients_keep_nobody_waiting(address, silent):
    """More of them than places, too: the one that has been silent for longest makes room."""

    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for number in range(silent):
                _, writer = await stack.enter_async_context(connected(address))
                if number % 2:
                    writer.write(b"{")  # one that has begun to speak is as silent
            began = time.monotonic()
            for number in range(5):
                assert await ask(address, KEY, call("echo", n=number)) == {"n": number}
            assert time.monotonic() - began < wire.TIMEOUT / 2

    run(address, test)


def test_who_is_being_answered_is_not_dropped_for_a_crowd(address, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)

    async def test() -> None:
        slow = [asyncio.create_task(ask(address, KEY, call("slow", seconds=1))) for _ in range(3)]
        await asyncio.sleep(0.2)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                await stack.enter_async_context(connected(address))
            assert await ask(address, KEY, call("echo")) == {}
            assert await asyncio.gather(*slow) == ["late"] * 3

    run(address, test)


def test_a_silent_client_is_cut_off(address, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT", 0.2)

    async def test() -> None:
        async with connected(address) as (reader, _):
            await reader.readline()
            assert await asyncio.wait_for(reader.read(), 5) == b""

    run(address, test)


@posix_only
def test_an_end_while_clients_are_connected_is_quiet(address, caplog):
    """Python 3.11 logs a traceback for each task of a connection that ends cancelled."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]

    async def test() -> None:
        for each in clients:
            each.connect(address)
        await asyncio.sleep(0.1)  # they are being served

    run(address, test)
    for each in clients:
        each.close()
    assert "Traceback" not in caplog.text


def test_a_flood_is_bounded_and_passes(address):
    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(address)) for _ in range(80)]
            greeted = await asyncio.gather(*(reader.readline() for reader, _ in clients))
            assert all(greeted)
            ended = [asyncio.ensure_future(reader.read()) for reader, _ in clients]
            async with asyncio.timeout(5):
                while sum(client.done() for client in ended) < len(clients) - server.MAX_CONNECTIONS:
                    await asyncio.sleep(0.01)
            assert sum(not client.done() for client in ended) == server.MAX_CONNECTIONS
            for client in ended:
                client.cancel()
            await asyncio.gather(*ended, return_exceptions=True)
        assert await ask_again() == {}

    async def ask_again() -> Any:
        """The places of the flood become free when its clients go, or at their timeout."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return await ask(address, KEY, call("echo"))
            except ChannelError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

    run(address, test)


def test_a_client_that_reads_nothing_is_cut_off(address, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT", 0.3)

    async def test() -> None:
        value = "z" * 60_000
        body = json.dumps(requests.to_json(call("echo", text=value))).encode()
        async with connected(address) as (reader, writer):
            nonce = (await reader.readline()).strip().decode()
            writer.write(wire.signed_line(KEY, nonce, body))
            assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_an_answer_that_takes_too_long_is_an_error_of_one_line(address, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT", 0.2)

    async def test() -> None:
        with pytest.raises(ChannelError, match=r"the supervisor does not answer at .*"):
            await ask(address, KEY, call("slow", seconds=60))
        assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_nobody_there(address):
    with pytest.raises(ChannelError, match="is gone") as caught:
        asyncio.run(ask(address, KEY, call("echo")))
    assert (caught.value.exit_code, caught.value.code) == (1, client.GONE)
    assert "\n" not in caught.value.message


@posix_only
def test_the_socket_is_for_this_user_alone(address):
    async def test() -> None:
        mode = Path(address).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert mode & 0o077 == 0

    run(address, test)
    assert not Path(address).exists()


@posix_only
def test_a_server_knows_when_its_socket_is_gone_and_takes_no_other_with_it(address):
    async def main() -> None:
        async with serving(address) as server:
            assert server.is_reachable()
            Path(address).unlink()
            assert not server.is_reachable()
            async with serving(address) as other:
                assert not server.is_reachable()
                await server.close()
                assert other.is_reachable()
                assert await ask(address, KEY, call("echo")) == {}

    asyncio.run(main())


@posix_only
def test_a_socket_that_was_left_behind_is_replaced(address):
    Path(address).touch()

    async def test() -> None:
        assert await ask(address, KEY, call("echo")) == {}

    run(address, test)


def test_two_servers_at_two_addresses(address, tmp_path):
    async def main() -> None:
        other = control_address(tmp_path / "other")
        async with serving(address), serving(other, "other key"):
            assert await ask(address, KEY, call("echo", n=1)) == {"n": 1}
            assert await ask(other, "other key", call("echo", n=2)) == {"n": 2}
            with pytest.raises(ChannelError):
                await ask(other, KEY, call("echo"))

    asyncio.run(main())
