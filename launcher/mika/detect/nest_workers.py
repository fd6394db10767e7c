"""What `nestjs-temporal-core` and `nestjs-temporal` make of the options of their module: a worker in a Nest app."""

from __future__ import annotations

import re
from collections.abc import Iterator

PACKAGE = r"nestjs-temporal(?:-core)?"
NAME = "nestjs-temporal"
_REGISTERED = re.compile(r"\bTemporalModule\.(register\w{0,20})\(")
_LONGEST = 5000
_VALUE = r"(`[^`\n]{0,200}`|(?:[^,\n{}()]|\([^()\n]{0,200}\)){1,200}(?=[,\n}]|$)|[^,\n}]{1,200})"
_QUEUE = re.compile(rf"\btaskQueue\b\s*(?::\s*{_VALUE})?")
_ADDRESS = re.compile(rf"(?<![\w.])address\b\s*(?::\s*{_VALUE})?")
_WORKER = re.compile(r"\bworkers?\s*[:,}]")
_WORKERS = re.compile(r"\bworkers\s*:")


def queues(text: str) -> Iterator[str]:
    """The expressions of the queues of the workers that `register` and `registerAsync` make; empty if none is given."""
    for name, options in _registered(text):
        if name in ("register", "registerAsync") and _WORKER.search(options):
            several = _WORKERS.search(options)
            found = _QUEUE.findall(options, several.end()) if several else _QUEUE.findall(options)[:1]
            yield from ((one or "taskQueue").strip() for one in found or [""])


def addresses(text: str) -> Iterator[str]:
    """The expressions of where they connect to."""
    for _name, options in _registered(text):
        if "Connection." not in options:  # what that is given is looked at for itself
            yield from ((one or "address").strip() for one in _ADDRESS.findall(options))


def _registered(text: str) -> Iterator[tuple[str, str]]:
    """Which function of the module is called, and its arguments."""
    for call in _REGISTERED.finditer(text):
        depth = 1
        for parenthesis in re.compile(r"[()]").finditer(text, call.end(), call.end() + _LONGEST):
            depth += 1 if parenthesis[0] == "(" else -1
            if depth == 0:
                yield call[1], text[call.end() : parenthesis.start()]
                break
