"""Why there is no usable Docker engine: one line each, with what to do."""

from __future__ import annotations

import contextlib
import gc
import http.server
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator

import pytest
from mika.containers import engine
from mika.containers.engine import EngineError


@contextlib.contextmanager
def fake_engine(api: str) -> Iterator[str]:
    """An engine that only knows its version; yields DOCKER_HOST."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"Version": "1.2.3", "ApiVersion": api, "MinAPIVersion": "1.12"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"tcp://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def refusal(**env: str) -> EngineError:
    with warnings.catch_warnings():
        # The SDK leaves a socket to the garbage collector when it cannot connect.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            engine.connect(env, 0.5)
        except EngineError as caught:
            caught.__traceback__ = caught.__context__ = None
            error = caught
        else:
            pytest.fail("it connected")
        gc.collect()
    assert error.hint
    assert "\n" not in error.message
    return error


def test_nothing_there(tmp_path):
    host = "npipe:////./pipe/mika_no_such_engine" if os.name == "nt" else "unix:///nonexistent/docker.sock"
    error = refusal(DOCKER_HOST=host)
    assert (error.code, error.is_transient) == ("engine_absent", True)
    assert error.message == f"no Docker engine answers at {host}"


def test_connection_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert refusal(DOCKER_HOST=f"tcp://127.0.0.1:{free.getsockname()[1]}").code == "engine_absent"


def test_hung_engine_costs_no_more_than_its_limit():
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        error = refusal(DOCKER_HOST=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - began < 5
    assert (error.code, error.is_transient) == ("engine_hung", True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user to become")
def test_not_permitted(tmp_path):
    """As a user outside the group docker."""
    refusal(DOCKER_HOST="unix:///nonexistent/docker.sock")  # imports what another user may not be allowed to read
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        import docker  # noqa: F401 - before that user cannot read it

        os.seteuid(65534)
        try:
            error = refusal(DOCKER_HOST=f"unix://{path}")
        finally:
            os.seteuid(0)
    assert (error.code, error.is_transient) == ("engine_denied", False)
    assert "docker" in error.hint


@pytest.mark.parametrize(
    ("host", "words", "hint"),
    [
        (
            "ssh://me@elsewhere",
            "is on another machine, so Temporal and MongoDB would listen there",
            "unset DOCKER_HOST",
        ),
        ("127.0.0.1", "cannot be used: Invalid bind address format", "correct DOCKER_HOST"),
        ("fd://", "cannot be used: fd protocol is not implemented", "correct DOCKER_HOST"),
    ],
)
def test_an_address_that_is_none(host, words, hint):
    error = refusal(DOCKER_HOST=host)
    assert (error.code, error.is_transient) == ("engine_unusable", False)
    assert f"the Docker engine at {host} {words}" in error.message
    assert hint in error.hint


def test_too_old():
    with fake_engine("1.39") as host:
        error = refusal(DOCKER_HOST=host)
    assert (error.code, error.message) == ("engine_old", "the Docker engine 1.2.3 is too old")


def test_new_enough():
    with fake_engine("1.41") as host:
        client = engine.connect({"DOCKER_HOST": host}, 2)
        assert engine.is_local(client)
        client.close()


def test_context_that_does_not_exist(tmp_path):
    """The SDK would use the default engine without a word."""
    error = refusal(DOCKER_CONTEXT="no-such-context", DOCKER_CONFIG=str(tmp_path))
    assert error.code == "engine_context"
    assert "'no-such-context' (DOCKER_CONTEXT)" in error.message


def test_the_cheap_look(tmp_path):
    """No import of the SDK, so that a machine without Docker starts as fast as ever."""
    assert engine.may_be_there({"DOCKER_HOST": "tcp://127.0.0.1:1"})
    (tmp_path / "config.json").write_text('{"currentContext": "desktop-linux"}', encoding="utf-8")
    assert engine.may_be_there({"DOCKER_CONFIG": str(tmp_path)})
