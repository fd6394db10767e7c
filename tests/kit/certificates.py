"""Certificates of a test's own CA, made with `openssl`."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kit.machine import require_or_skip

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key: files in PEM format."""

    certificate: Path
    key: Path


class Authority:
    """A CA in `folder`. Skips the test where there is no `openssl`."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("openssl"):
            require_or_skip("openssl", "no openssl on PATH")
        folder.mkdir(parents=True)
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        extension = ("-addext", "basicConstraints=critical,CA:TRUE")
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", self._key, "-out", self.certificate, "-subj", "/CN=ca", *extension
        )

    def issue(self, name: str, *, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2) -> Pair:
        """For whom `names` says, as a subjectAltName. Expired if `days` is negative."""
        pair, request = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key"), self._folder / f"{name}.csr"
        extension = ("-addext", f"subjectAltName={names}")
        self._openssl("req", "-new", *_KEY, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}", *extension)
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-copy_extensions", "copyall")
        self._openssl("x509", "-req", "-in", request, *signed, "-days", str(days), "-out", pair.certificate)
        return pair

    def self_signed(self, name: str, *extension: str) -> Pair:
        """As `openssl req -x509` makes one: a CA's, unless an extension says otherwise."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", *extension)
        self._openssl("req", "-x509", *_KEY, "-keyout", pair.key, "-out", pair.certificate, "-subj", "/CN=x", *names)
        return pair

    @staticmethod
    def _openssl(*args: str | Path) -> None:
        done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
