"""Whose names the API answers to (DNS rebinding), and what it shows without its secret."""

from __future__ import annotations

import httpx
import pytest

from src.api.app import create_app
from src.api.hosts import comes_from_this_machine
from src.config import Settings


async def ask(host, path="/healthz", at="127.0.0.1", headers=None, **settings):
    app = create_app(Settings(_env_file=None, **settings))
    app.state.settings = Settings(_env_file=None, **settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{at}:8000") as client:
        return await client.get(path, headers={"Host": host, **(headers or {})})


def run(coroutine):
    import asyncio

    return asyncio.run(coroutine)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "LOCALHOST",
        "localhost.",
        "bot.localhost:8000",
        "127.0.0.1:8000",
        "127.0.0.2",
        "[::1]:8000",
        "192.168.1.5:8000",
        "host.docker.internal:8000",
        "my-laptop:8000",
    ],
)
def test_names_of_this_machine(host):
    assert run(ask(host, api_host="my-laptop")).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "", "a@localhost"]
)
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/workflows/x", "/openapi.json", "/nothing"])
def test_any_other_name_is_refused_on_every_route(host, path):
    response = run(ask(host, path))
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "host_not_allowed"
    assert "API_ALLOWED_HOSTS" in response.json()["detail"]


def test_a_tunnel_can_be_allowed():
    for allowed in ("bot.example.org", "a.example, bot.example.org", "*.example.org", "*", "BOT.Example.org."):
        assert run(ask("bot.example.org", API_ALLOWED_HOSTS=allowed)).status_code == 200, allowed
    for allowed in ("example.org", "*.bot.example.org", "*example.org"):
        assert run(ask("bot.example.org", API_ALLOWED_HOSTS=allowed)).status_code == 421, allowed


def test_what_is_bound_to_the_network_has_names_that_nobody_here_knows():
    assert run(ask("bot:8000", at="172.17.0.2")).status_code == 200
    assert run(ask("bot:8000", at="172.17.0.2", API_ALLOWED_HOSTS="other")).status_code == 421


def test_the_document_is_complete_and_asks_for_the_secret():
    document = run(ask("localhost", "/openapi.json")).json()
    assert document["paths"]["/webhook/langbot"]["post"]["requestBody"]
    assert run(ask("localhost", "/openapi.json", webhook_secret="s")).status_code == 401
    assert (
        run(ask("localhost", "/openapi.json", headers={"X-Webhook-Secret": "s"}, webhook_secret="s")).status_code == 200
    )


def test_nothing_is_loaded_from_a_cdn():
    for path in ("/docs", "/redoc"):
        assert run(ask("localhost", path)).json()["code"] == "not_found"


def test_the_messages_state_asks_for_the_secret():
    assert run(ask("localhost", "/workflows/x", webhook_secret="s")).status_code == 401


@pytest.mark.parametrize(
    ("client", "server", "host", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost:8000", True),
        ("::1", "::1", "[::1]:8000", True),
        ("127.0.0.1", "127.0.0.1", "bot.example.org", False),  # a tunnel that runs here
        ("203.0.113.9", "127.0.0.1", "localhost", False),  # what uvicorn makes of X-Forwarded-For
        ("192.168.1.5", "192.168.1.5", "localhost", False),
        ("127.0.0.1", "127.0.0.1", "192.168.1.5", False),
        (None, "127.0.0.1", "localhost", False),
    ],
)
def test_who_is_on_this_machine(client, server, host, is_local):
    scope = {"client": (client, 1) if client else None, "server": (server, 8000), "headers": [(b"host", host.encode())]}
    assert comes_from_this_machine(scope) is is_local
