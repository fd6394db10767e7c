"""Hosts and ports as text."""

from __future__ import annotations

import pytest
from mika.address import http_url, is_loopback, join, reachable


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("10.0.0.1", False),
        ("127.0.0.1.example.com", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
def test_a_server_that_listens_everywhere_is_reached_on_loopback(host):
    assert reachable(host) == "127.0.0.1"
    assert http_url(host, 80) == "http://127.0.0.1:80"


def test_ipv6_has_brackets():
    assert join("::1", 7233) == "[::1]:7233"
    assert join("localhost", 7233) == "localhost:7233"
    assert http_url("::1", 80) == "http://[::1]:80"
