"""Where processes listen, as Linux tells it in its tables of sockets; psutil must see the same."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import psutil
import pytest
from mika.machine import ports

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil is asked")


def test_each_socket_that_listens_is_found_and_no_other() -> None:
    from mika.machine._posix import listening_of

    with contextlib.ExitStack() as stack:

        def listens(family: socket.AddressFamily, host: str) -> tuple[str, int]:
            made = stack.enter_context(socket.socket(family))
            made.bind((host, 0))
            made.listen()
            host, port, *_more = made.getsockname()
            return str(host), int(port)

        here = [listens(socket.AF_INET, host) for host in ("127.0.0.1", "127.1.2.3", "0.0.0.0")]
        if socket.has_ipv6:
            with contextlib.suppress(OSError):  # compiled in, and switched off on this machine
                here += [listens(socket.AF_INET6, host) for host in ("::1", "::")]
        stack.enter_context(socket.create_connection(here[0]))
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        found = listening_of([os.getpid()])
        assert {(ip, port) for ip, port, _pid in found} >= set(here)
        assert bound.getsockname()[1] not in {port for _ip, port, _pid in found}
        seen = [each for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert sorted(found) == sorted((each.laddr.ip, each.laddr.port, os.getpid()) for each in seen)


def test_where_the_kernel_does_not_tell_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from mika.machine import _posix

    def refuse(_family: socket.AddressFamily) -> dict[int, tuple[str, int]]:
        raise PermissionError

    with socket.create_server(("127.0.0.1", 0)) as made:
        expected = (*made.getsockname(), os.getpid())
        assert expected in _posix.listening_of([os.getpid()])
        monkeypatch.setattr(_posix, "_addresses", refuse)
        assert expected in _posix.listening_of([os.getpid()])


def test_each_process_has_its_own_and_one_that_has_ended_has_none() -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert ports.addresses_of([child.pid]) == (f"127.0.0.1:{port}",)
        assert f"127.0.0.1:{port}" not in ports.addresses_of([os.getpid()])
        assert f"127.0.0.1:{port}" in ports.addresses_of([os.getpid(), child.pid])
        child.stdin.close()
    assert ports.addresses_of([child.pid]) == ()
