"""A registry with one small image, as slow as a test wants it. The engine takes one on loopback without TLS."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
import time
from typing import Self

LAYER_BYTES = 3_000_000
_CHUNK = 50_000


class Registry:
    """Serves `IMAGE:1`, two layers of `LAYER_BYTES` that cannot be compressed, at `bytes_per_s` each."""

    def __init__(self, port: int, bytes_per_s: float) -> None:
        self.image = f"127.0.0.1:{port}/test/slow:1"
        self.bytes_per_s = bytes_per_s
        self._blobs: dict[str, bytes] = {}
        layers = [_tar(f"file-{number}", os.urandom(LAYER_BYTES)) for number in range(2)]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/nothing"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
                "history": [{"created_by": "test"}, {"created_by": "test"}],
            }
        ).encode()
        kind = "application/vnd.docker"
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{kind}.distribution.manifest.v2+json",
            "config": self._add(f"{kind}.container.image.v1+json", config),
            "layers": [self._add(f"{kind}.image.rootfs.diff.tar.gzip", gzip.compress(layer, 1)) for layer in layers],
        }
        self._manifest = json.dumps(manifest).encode()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _add(self, media_type: str, blob: bytes) -> dict[str, object]:
        self._blobs[_digest(blob)] = blob
        return {"mediaType": media_type, "size": len(blob), "digest": _digest(blob)}

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if "/manifests/" in self.path:
                    kind = "application/vnd.docker.distribution.manifest.v2+json"
                    self._answer(registry._manifest, kind, {"Docker-Content-Digest": _digest(registry._manifest)})
                elif "/blobs/" in self.path:
                    self._answer(registry._blobs[name], "application/octet-stream", {})
                else:
                    self._answer(b"{}", "application/json", {})

            do_HEAD = do_GET  # noqa: N815 - http.server's names

            def _answer(self, body: bytes, kind: str, headers: dict[str, str]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for header, value in headers.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                try:
                    for start in range(0, len(body), _CHUNK):
                        self.wfile.write(body[start : start + _CHUNK])
                        if len(body) > _CHUNK:
                            time.sleep(_CHUNK / registry.bytes_per_s)
                except OSError:  # the engine has left
                    pass

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _tar(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
