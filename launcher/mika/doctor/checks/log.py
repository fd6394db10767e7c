"""The newest trouble in the log files: a traceback, or the stacks that a blocked event loop prints."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from mika.diagnosis.model import seconds
from mika.doctor.check import Check
from mika.doctor.examination import Examination
from mika.machine.local import in_thread
from mika.project import logs

RECENT = 600.0
"""Seconds back that a traceback is of interest."""
_LINES = 400
_ASKED_FOR = ("KeyboardInterrupt", "asyncio.exceptions.CancelledError", "SystemExit")  # how a program is stopped
_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt|Exit|Warning|Failure)\b.*|(\w+\.)+\w+(: .*)?")


async def log_files(x: Examination) -> Check:
    found = await in_thread(lambda: _newest(x.folder.logs))
    if found is None:
        names = [name for name in logs.names(x.folder.logs) if name != logs.EVENT_LOG]
        return Check("logs", "ok", f"no traceback of the last {seconds(RECENT)}" if names else "no log files yet")
    when, name, text = found
    path = x.folder.logs.relative_to(x.folder.project) / f"{name}.log"
    return Check(
        "logs",
        "warn",
        f"{path}, {seconds(time.time() - when)} ago: {text}"[:300],
        f"`mika logs {name} -n 60` shows all of it",
    )


def _newest(folder: Path) -> tuple[float, str, str] | None:
    since = time.time() - RECENT
    found = []
    for name in logs.names(folder):
        if name == logs.EVENT_LOG:
            continue
        lines = [line for line in logs.read_tail(folder, name, _LINES) if line.time >= since]
        trouble = last_trouble([logs.decode(line.data).rstrip() for line in lines])
        if trouble is not None:
            index, text = trouble
            found.append((lines[index].time, name, text))
    return max(found, default=None)


def last_trouble(lines: Sequence[str]) -> tuple[int, str] | None:
    """Where the last traceback begins and what its last line says; also of one in the `exception` of a JSON line."""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if line.startswith("Traceback (most recent call last)"):
            text = _last_line(lines[index + 1 :])
            if not text.startswith(_ASKED_FOR):
                return index, text
        if line.startswith("{") and "Traceback (most recent call last)" in line:
            text = _of_json(line)
            if text:
                return index, text
        if line.startswith("Timeout (") and index + 1 < len(lines):
            return index, f"the event loop was blocked: {_frame(lines[index + 1 :])}"
    return None


def _last_line(lines: Sequence[str]) -> str:
    """The end of a traceback: the first line that is not indented and looks like an error."""
    for line in lines:
        if line and not line[0].isspace() and _ERROR.fullmatch(line):
            return line
    return "a traceback"


def _of_json(line: str) -> str:
    try:
        found = json.loads(line)
    except ValueError:
        return ""
    text = str(found.get("exception") or found.get("exc_info") or "") if isinstance(found, dict) else ""
    ends = [part for part in text.splitlines() if part and not part[0].isspace()]
    return ends[-1] if ends else ""


def _frame(lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if line.lstrip().startswith("File ")), "no frame")
