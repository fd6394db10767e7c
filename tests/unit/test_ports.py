"""Who has a port."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mika.errors import UsageError
from mika.machine import ports
from mika.quoting import quoted

from tests.kit.machine import poll_until, posix_only

LISTEN = """
import socket, sys, time
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""


def listener(host: str, port: int, folder: Path, **environ: str) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", LISTEN, host, str(port)]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environ, stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    with process.stdout:
        return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def test_the_stack_is_told_by_its_mark(tmp_path):
    (tmp_path / ".mika").mkdir()
    (tmp_path / "sub" / ".mika").mkdir(parents=True)
    beat = str(tmp_path / ".mika" / "run" / "api.beat")
    process, port = listener("127.0.0.1", 0, tmp_path / "sub", MIKA_RUN_ID="ab", MIKA_BEAT_FILE=beat)
    try:
        found = ports.find_listener("127.0.0.1", port)
        assert found is not None
        assert (found.pid, found.stack) == (process.pid, tmp_path)
        assert ports.find_other_stack("127.0.0.1", port, tmp_path) is None
        assert ports.find_other_stack("127.0.0.1", port, tmp_path / "sub") == tmp_path
        with pytest.raises(UsageError) as refused:
            ports.check_free("127.0.0.1", ports.PortSetting("API_PORT", port))
        assert refused.value.message.endswith(f"(pid {process.pid}) of the stack in {tmp_path}")
        assert f"`mika -C {quoted(tmp_path)} down`, or " in (refused.value.hint or "")
    finally:
        ended(process)
    poll_until(lambda: ports.find_listener("127.0.0.1", port) is None, 10, "nobody listens")


def test_what_is_free_is_told_for_each_port_that_is_taken(monkeypatch):
    """The same project in three folders. What the stack itself has is not told."""
    taken = {7233, 7234, 8088}
    values = {"TEMPORAL_PORT": 7233, "TEMPORAL_UI_PORT": 8088, "API_PORT": 7235}
    settings = [ports.PortSetting(name, port, ".env", tuple(values.values())) for name, port in values.items()]
    monkeypatch.setattr(ports, "_refusal", lambda _host, port: errno.EADDRINUSE if port in taken else 0)
    monkeypatch.setattr(ports, "find_listener", lambda _host, port: ports.Listener(port, 1, "nginx"))
    with pytest.raises(UsageError) as refused:
        ports.check_free("127.0.0.1", *settings)
    hint = refused.value.hint or ""
    assert hint.endswith("or choose another port in .env: TEMPORAL_PORT=7236 and TEMPORAL_UI_PORT=8089")
    assert ports.PortSetting("A", 65535).another("127.0.0.1") >= 1024, "it begins anew"
    assert ports.PortSetting("A", 80).another("127.0.0.1") >= 1024, "no user may have those below"


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of this machine on Linux only")
def test_each_address_has_an_owner_of_its_own(tmp_path):
    (tmp_path / ".mika").mkdir()
    first, port = listener("127.0.0.1", 0, tmp_path, MIKA_RUN_ID="ab")
    second, _ = listener("127.0.0.2", port, tmp_path)
    try:
        assert [
            (found := ports.find_listener(host, port)) and found.pid for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        ] == [
            first.pid,
            second.pid,
            None,
        ]
        assert ports.find_listener("0.0.0.0", port) is not None
        assert ports.find_listener("192.0.2.1", port) is None
        assert ports.find_listener("no such host", port) is None
        assert ports.listeners()[port].pid == first.pid
        assert ports.find_other_stack("127.0.0.2", port, tmp_path / "other") is None
    finally:
        ended(first)
        ended(second)


def test_one_that_listens_at_all_addresses():
    with socket.create_server(("0.0.0.0", 0)) as server:
        found = ports.find_listener("127.0.0.1", server.getsockname()[1])
    assert found is not None
    assert found.pid == os.getpid()


def test_a_port_that_windows_keeps_is_not_taken_by_a_program(monkeypatch):
    """Hyper-V and WSL reserve whole ranges: there is no program to stop."""
    monkeypatch.setattr(ports, "_refusal", lambda _host, _port: errno.EACCES)
    monkeypatch.setattr(ports, "find_listener", lambda _host, _port: None)
    with pytest.raises(UsageError) as refused:
        ports.check_free("127.0.0.1", ports.PortSetting("TEMPORAL_PORT", 7233))
    assert "taken by" not in refused.value.message
    told = ports._not_allowed(ports.PortSetting("TEMPORAL_PORT", 7233), "", "win32")
    assert told.message == "port 7233 (TEMPORAL_PORT) is kept by Windows, for Hyper-V, WSL or Docker"
    assert "`netsh interface ipv4 show excludedportrange protocol=tcp`" in (told.hint or "")
    monkeypatch.setattr(ports, "find_listener", lambda _host, port: ports.Listener(port, 1, "nginx"))
    with pytest.raises(UsageError, match=r"taken by nginx \(pid 1\)"):
        ports.check_free("127.0.0.1", ports.PortSetting("TEMPORAL_PORT", 7233))


def test_every_listening_socket_is_seen():
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        seen = ports.listeners()
        assert {four.getsockname()[1], six.getsockname()[1]} <= seen.keys()


@posix_only  # Wine does not tell the environment of another process
def test_a_stranger_is_who_is_known_and_not_ours(tmp_path, monkeypatch):
    process, port = listener("127.0.0.1", 0, tmp_path, MIKA_RUN_ID="ab")
    try:
        listeners = [("127.0.0.1", port, process.pid)]
        system = SimpleNamespace(
            listening=lambda: listeners, listening_of=lambda pids: [entry for entry in listeners if entry[2] in pids]
        )
        monkeypatch.setattr(ports, "_system", system)
        stranger = ports.find_stranger(port, {os.getpid()}, "another run")
        assert stranger is not None
        assert stranger.pid == process.pid
        assert ports.find_stranger(port, {os.getpid()}, "ab") is None, "it has left the tree, not the run"
        assert ports.find_stranger(port, {process.pid}, "another run") is None
        listeners[:] = [("127.0.0.1", port, None)]
        assert ports.find_stranger(port, {os.getpid()}, "another run") is None, "the system does not tell"
    finally:
        ended(process)


def test_where_a_process_is_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as own:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(own.getsockname()):
            assert ("127.0.0.1", port) not in ports.peers_of([os.getpid()]), "what it listens on is its own"
            connect = (
                f"import socket; s = socket.create_connection(('127.0.0.1', {port})); print('x', flush=True); input()"
            )
            process = subprocess.Popen(
                [sys.executable, "-c", connect], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
            with process:
                assert process.stdout is not None
                process.stdout.readline()
                assert ports.peers_of([process.pid]) == {("127.0.0.1", port)}
                process.kill()
            assert ports.peers_of([process.pid]) == set()


def test_the_listener_on_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = ports.listeners().get(server.getsockname()[1])
    assert found is not None
    assert found.pid == os.getpid()
    assert str(os.getpid()) in str(found)
    assert found.stack is None
