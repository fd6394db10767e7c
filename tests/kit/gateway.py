"""What stands in front of a Temporal cluster: a gateway with API keys, and a relay that wants client certificates."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would tell the terminal of each handshake that a test makes fail

import grpc

from tests.kit.certificates import Authority, Pair

_CALLS = 60  # at the same time; each poll of a worker is one


class Gateway:
    """Forwards every call to `target` (host:port), if its client may.

    `server` is the certificate; without one, clear text. With `api_key`, each call must have it; a test may change it.
    `api_keys` and `methods` are what the clients sent.
    """

    def __init__(self, target: str, *, server: Pair | None = None, api_key: str = "") -> None:
        self.api_key = api_key
        self.api_keys: set[str] = set()
        self.methods: set[str] = set()
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(ThreadPoolExecutor(_CALLS), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Forward(self._forward),))
        if server is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials([(server.key.read_bytes(), server.certificate.read_bytes())])
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait(10)
        self._channel.close()

    def _forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = dict(context.invocation_metadata())
        self.methods.add(method.rpartition("/")[2])
        self.api_keys.add(str(metadata.get("authorization", "")))
        if self.api_key and metadata.get("authorization") != f"Bearer {self.api_key}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request unauthorized.")
        call = self._channel.unary_unary(method)
        try:
            return call(request, timeout=context.time_remaining())
        except grpc.RpcError as error:
            details: Any = error
            context.set_trailing_metadata(details.trailing_metadata() or ())
            context.abort(details.code(), details.details() or "")
        raise AssertionError  # abort raises


class _Forward(grpc.GenericRpcHandler):
    def __init__(self, forward: Callable[[str, bytes, grpc.ServicerContext], bytes]) -> None:
        self._forward = forward

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._forward(method, request, context))


class Relay:
    """Ends TLS, wants a certificate that `clients` has signed, and passes on bytes to `target` (host:port).

    Other than gRPC's own server, it says what it has against a client, as Go's TLS does, with which Temporal is built.
    """

    def __init__(self, target: str, server: Pair, clients: Authority, newest: ssl.TLSVersion) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(server.certificate, server.key)
        self._context.load_verify_locations(clients.certificate)
        self._context.verify_mode, self._context.maximum_version = ssl.CERT_REQUIRED, newest
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        for one in (self._listener, *self._open):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        """One connection. One thread does both directions: a TLS socket is not made for two."""
        self._open.append(raw)
        with (
            contextlib.suppress(OSError),
            raw,
            self._context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(self._target) as server,
        ):
            self._open += [client, server]
            while True:
                ready, _, _ = select.select([client, server], [], [], 0 if client.pending() else None)
                for source, target in ((client, server), (server, client)):
                    if source in ready or (source is client and client.pending()):
                        if not (data := source.recv(65536)):
                            return
                        target.sendall(data)
