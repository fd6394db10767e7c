"""An identity that a worker in another language than Python gives itself: mika knows it by the one that it is told."""

from __future__ import annotations

import posixpath
import re

_OWN = {
    ".go": re.compile(r"(?<![\w.])Identity:\s*([^,\n}]{1,200})|\.Identity\s*=\s*([^=\n][^\n]{0,200})"),
    ".java": re.compile(r"\.setIdentity\(\s*([^\n]{1,200})"),
    ".cs": re.compile(r"\bIdentity\s*=\s*([^=,;\n}][^,;\n}]{0,200})"),
    ".ts": re.compile(r"(?<![\w.])identity\s*:\s*([^,\n}]{1,200})"),
}
_GIVEN = {
    ".go": 'Identity: os.Getenv("MIKA_WORKER_IDENTITY")',
    ".java": '.setIdentity(System.getenv("MIKA_WORKER_IDENTITY"))',
    ".cs": 'Identity = Environment.GetEnvironmentVariable("MIKA_WORKER_IDENTITY")',
    ".ts": "identity: process.env.MIKA_WORKER_IDENTITY",
}
_PYTHON = 'identity=os.environ.get("MIKA_WORKER_IDENTITY")'
_FITS = re.compile(r"MIKA_WORKER_IDENTITY|\bgetpid\b|\bprocess\.pid\b|\bProcessHandle\b|\bProcessId\b", re.IGNORECASE)
"""In a file: it may be mika's, or made of the pid as that of each SDK."""
_NONE = re.compile(r"(?:nil|null|undefined|\"\")\W*$")


def is_own(path: str, text: str) -> bool:
    """Whether the file of a worker, a text without comments, has an identity by which mika cannot know it."""
    pattern = _OWN.get(_kind(path))
    if pattern is None or _FITS.search(text):
        return False
    return any(not _NONE.match("".join(filter(None, one.groups())).strip()) for one in pattern.finditer(text))


def given(path: str) -> str:
    """How the source of a worker is to give the one that mika knows."""
    return _GIVEN.get(_kind(path), _PYTHON)


def _kind(path: str) -> str:
    suffix = posixpath.splitext(path)[1]
    return {".kt": ".java"}.get(suffix, ".ts" if re.fullmatch(r"\.[cm]?[jt]s", suffix) else suffix)
