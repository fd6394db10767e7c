"""Hosts and ports as text."""

from __future__ import annotations

import pytest
from mika.address import http_url, is_loopback, join, reachable, reachable_url


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


@pytest.mark.parametrize(("host", "loopback"), [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_server_that_listens_everywhere_is_reached_on_loopback(host, loopback):
    assert reachable(host) == loopback
    assert http_url(host, 80) == f"http://{join(loopback, 80)}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://0.0.0.0:8000/healthz 2xx", "http://127.0.0.1:8000/healthz 2xx"),
        ("http://:::8000/healthz", "http://[::1]:8000/healthz"),
        ("http://[::]:8000", "http://[::1]:8000"),
        ("http://::1:8000/", "http://[::1]:8000/"),
        ("https://example.com/a:1/0.0.0.0", "https://example.com/a:1/0.0.0.0"),
        ("http://u:p@0.0.0.0:80/", "http://u:p@0.0.0.0:80/"),
    ],
)
def test_a_web_address_of_a_server_that_listens_everywhere(url, expected):
    assert reachable_url(url) == expected


def test_ipv6_has_brackets():
    assert join("::1", 7233) == "[::1]:7233"
    assert join("localhost", 7233) == "localhost:7233"
    assert http_url("::1", 80) == "http://[::1]:80"
