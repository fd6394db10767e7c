"""MongoDB's protocol without a driver: its documents, its addresses, its login, and what only looks like it."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest
from mika.readiness import scram
from mika.readiness.mongodb import address_of, decode, encode, why_silent

from tests.kit.machine import free_port

# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://h", ("h", 27017)),
        ("mongodb://h:1/", ("h", 1)),
        ("mongodb://u:p%40ss@h:1/d?authSource=admin", ("h", 1)),
        ("mongodb://u@[::1]:1/d", ("::1", 1)),
        ("mongodb://h?tls=false", ("h", 27017)),
        ("mongodb://h/?ssl=true", None),
        ("mongodb://h/?TLS=true", None),
        ("mongodb+srv://u:p@h/d", None),
        ("mongodb://a:1,b:2/d?replicaSet=x", None),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/d", None),
    ],
)
def test_the_server_of_a_url(url, expected):
    assert address_of(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://u:p@ss/word@h/d",
        "mongodb://u:pass@word@h",
        "mongodb://h:notaport",
        "mongodb://h:99999",
        "mongodb://:1",
        "mongodb://u:p@/d",
    ],
)
def test_a_url_that_cannot_be_read(url):
    with pytest.raises(ValueError) as caught:
        address_of(url)
    assert "word" not in str(caught.value).replace("password", "")


# --- BSON -------------------------------------------------------------------------------------------------------------


def test_documents():
    document = {"a": 1, "b": "é", "c": b"\0\1", "d": True, "e": {"f": -1, "g": {}}}
    assert decode(encode(document)) == document


def test_types_that_only_servers_send():
    elements = b"".join(
        [
            b"\x01ok\0" + struct.pack("<d", 1.0),
            b"\x07id\0" + b"i" * 12,
            b"\x09at\0" + struct.pack("<q", 5),
            b"\x0anone\0",
            b"\x11time\0" + struct.pack("<Q", 6),
            b"\x12long\0" + struct.pack("<q", 2**40),
            b"\x13decimal\0" + b"d" * 16,
            b"\x04list\0" + encode({"0": "x", "1": "y"}),
        ]
    )
    assert decode(struct.pack("<i", len(elements) + 5) + elements + b"\0") == {
        "ok": 1.0,
        "id": b"i" * 12,
        "at": 5,
        "none": None,
        "time": 6,
        "long": 2**40,
        "decimal": b"d" * 16,
        "list": ["x", "y"],
    }


# --- what listens there -----------------------------------------------------------------------------------------------


def reply(body: bytes, *, answers: int = 1, code: int = 2013, length: int | None = None) -> bytes:
    message = b"\0" * 5 + body
    return struct.pack("<iiii", 16 + len(message) if length is None else length, 7, answers, code) + message


def ask(answer: bytes | None) -> str:
    """What is said of a server that answers so; None: not at all."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            if answer is None:
                await reader.read(1000)
            else:
                writer.write(answer)
            writer.close()
            await writer.wait_closed()
        served.set()

    async def main() -> str:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reason = await why_silent("127.0.0.1", server.sockets[0].getsockname()[1], 0.5 if answer is None else 5)
            await served.wait()
            return reason

    return asyncio.run(main())


FOREIGN = "what listens there is not MongoDB"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(encode({"ok": 1})), ""),
        (reply(encode({"ok": 0, "errmsg": "no, not now", "code": 91})), "no, not now"),
        (reply(encode({"ok": 0, "code": "odd"})), "it refuses the command"),
        (reply(encode({"ok": 1}), answers=2), FOREIGN),
        (reply(encode({"ok": 1}), code=1), FOREIGN),
        (reply(encode({"ok": 1}), length=2**31 - 1), FOREIGN),
        (reply(encode({"ok": 1}), length=3), FOREIGN),
        (reply(b""), FOREIGN),
        (reply(encode({"ok": 1})[:-2]), FOREIGN),
        (reply(b"\5\0\0\0\x0bregex\0"), FOREIGN),
        (reply(b"\5\0\0\0\x02x\0\xff\xff\xff\xff"), FOREIGN),
        (reply(b"\x00\x00\x00\x00\x03a\0" * 5000), FOREIGN),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", FOREIGN),
        (b"", "it accepts the connection and closes it"),
        (b"short", "it accepts the connection and closes it"),
        (None, "no answer within 0.5 s"),
    ],
)
def test_what_answers(answer, expected):
    assert ask(answer) == expected


def test_nobody_listens():
    with free_port() as port:
        assert asyncio.run(why_silent("127.0.0.1", port)) == "connection refused"


def test_a_name_that_nobody_has():
    reason = asyncio.run(why_silent("name.invalid", 1, 2))
    assert reason
    assert "Errno" not in reason


# --- SCRAM: the examples of its RFCs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hash_name", "nonce", "challenge", "proof"),
    [
        (  # RFC 5802, section 5
            "sha1",
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ),
        (  # RFC 7677, section 3
            "sha256",
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ),
    ],
)
def test_a_login(hash_name, nonce, challenge, proof):
    first = scram.first_message("user", nonce)
    assert first == f"n,,n=user,r={nonce}"
    assert scram.final_message(hash_name, "pencil", first, challenge) == proof


def test_a_name_with_the_signs_of_the_protocol():
    assert scram.first_message("a=b,c", "n") == "n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "r=other,s=QQ==,i=4096",
        "r=mine1,i=4096",
        "r=mine1,s=*,i=4096",
        "r=mine1,s=QQ==,i=x",
        "r=mine1,s=QQ==,i=0",
        "r=mine1,s=QQ==,i=2000000000",
    ],
)
def test_a_challenge_that_is_none(challenge):
    with pytest.raises(ValueError):
        scram.final_message("sha256", "pencil", scram.first_message("user", "mine"), challenge)


@pytest.mark.parametrize(("typed", "expected"), [("I\xadX", "IX"), ("\xaa", "a"), ("Ⅸ", "IX"), ("a\xa0b", "a b")])
def test_a_password_is_the_same_however_it_is_typed(typed, expected):
    assert scram.prepared(typed) == expected
