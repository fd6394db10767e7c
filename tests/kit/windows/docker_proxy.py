"""The engine's Unix socket as a loopback port: Windows programs under Wine can reach no Unix socket.

An engine's port is as good as root, so only processes of this very user are let through.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Self

import psutil

ENGINE = "/var/run/docker.sock"


class DockerProxy:
    """Listens from entering to leaving; `host` is what DOCKER_HOST wants."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the end
            while True:
                client, address = self._listener.accept()
                if not _is_ours(address):
                    client.close()
                    continue
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(ENGINE)
                self._open |= {client, engine}
                for source, target in ((client, engine), (engine, client)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _is_ours(address: tuple[str, int]) -> bool:
    """Whether a process of this user has the other end."""
    pids = [found.pid for found in psutil.net_connections("tcp4") if found.laddr == address]
    return any(pid is not None and psutil.Process(pid).uids().real == os.getuid() for pid in pids)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)  # the other direction may go on: compose reads a stream that it has ended
