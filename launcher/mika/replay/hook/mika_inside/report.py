"""The order that the parent gave, and the lines that it reads."""

from __future__ import annotations

import json
import os
import time
from typing import Any, NoReturn

from .words import packed


def _read_order(place: str) -> Any:
    """The order itself, or the name of the file with it: the environment has no room for a large one."""
    if place.startswith("{"):
        return json.loads(place)
    with open(place, encoding="utf-8") as file:
        return json.load(file)


ORDER: dict[str, Any] = _read_order(os.environ.get("MIKA_INSIDE", "{}"))
"""`do` (check, describe, start, debug), `report` (the path of the file for the lines), and what the task needs."""

_BEGAN = time.monotonic()


def remaining() -> float:
    """Seconds until the parent ends this process."""
    return max(0.0, float(ORDER["limit"]) - (time.monotonic() - _BEGAN))


def say(kind: str, **fields: object) -> None:
    """Add one line to the report. A forked child writes to the same file, so each line is one write at its end."""
    line = {"kind": kind, "pid": os.getpid(), **fields}
    if texts := packed(fields):
        line["texts"] = texts
    try:
        descriptor = os.open(ORDER["report"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        if ORDER["do"] == "debug":  # a live program (of another user, perhaps) must not fail for it
            return
        raise
    try:
        os.write(descriptor, json.dumps(line, default=str).encode() + b"\n")
    finally:
        os.close(descriptor)


def leave_unknown(what: str) -> NoReturn:
    """End this process, because its SDK cannot be kept from being a live worker: it lacks the name `what`."""
    say("unknown_sdk", what=what)
    os._exit(70)
