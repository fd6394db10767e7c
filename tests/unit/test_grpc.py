"""The status in the headers of a gRPC server, however it writes them."""

from __future__ import annotations

import pytest
from mika.machine import grpc

NAME = b"\x0bgrpc-status"
SHORT = b"\x88" + bytes.fromhex("9acac8b21234da8f")  # the same in Huffman code


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"\x88\x00" + NAME + b"\x0216", 16),
        (b"\x3f\xe1\x1f\x88\x40" + NAME + b"\x017", 7),  # after another size of the table
        (b"\x40" + SHORT + b"\x82\x0b\x9f", 16),
        (b"\x10" + SHORT + b"\x81\x07", 0),
        (b"\x0f\x10\x01x\x00" + NAME + b"\x015", 5),  # behind a literal with a well-known name
        (b"\x88\x5f\x10application/grpc", None),
        (b"\x00" + NAME + b"\x0299", None),
        (b"\x00" + NAME, None),  # cut off
        (b"\x00\xff", None),
        (b"", None),
    ],
)
def test_the_status_among_headers(block: bytes, status: int | None) -> None:
    assert grpc._status(block) == status


def test_long_values_are_told_with_their_length() -> None:
    assert grpc._text("x" * 126) == b"\x7e" + b"x" * 126
    assert grpc._text("x" * 127) == b"\x7f\x00" + b"x" * 127
    assert grpc._text("x" * 1337) == b"\x7f\xba\x09" + b"x" * 1337
