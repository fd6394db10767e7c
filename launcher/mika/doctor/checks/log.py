"""The newest trouble in the log files: a traceback, or the stacks that a blocked event loop prints."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from mika.diagnosis.model import seconds
from mika.doctor.check import Check, ok, warn
from mika.doctor.examination import Examination
from mika.machine.local import in_thread
from mika.project import logs
from mika.status import UnitStatus, type_of
from mika.wording import _, joined

RECENT = 600.0
"""Seconds back that a traceback is of interest."""
_LINES = 400
_STOPS = ("KeyboardInterrupt", "asyncio.exceptions.CancelledError", "SystemExit")  # how a program is stopped
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_THREADS = ("Thread ", "Current thread ")
_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt|Exit|Warning|Failure)\b.*|(\w+\.)+\w+(: .*)?")


async def log_files(exam: Examination) -> Check:
    folder, recent = exam.folder.logs, seconds(RECENT)
    names = [name for name in await in_thread(lambda: logs.names(folder)) if name != logs.EVENT_LOG]
    status = await exam.status()
    if status is not None:  # another one was taken out of the Procfile, or is not wanted now
        names = [name for name in names if status.matching(name)]
    ages = {name: _age(status.unit(name) if status is not None else None) for name in names}
    troubles = (_trouble(folder, name, age) for name, age in ages.items())
    newest = await in_thread(lambda: max(filter(None, troubles), default=None))
    if newest is None:
        return ok("logs", _("no traceback in the last {time}", time=recent) if names else _("no log files yet"))
    when, name, text, said = newest
    shown = _("`mika logs {name} -n 60` shows all of it", name=name)
    path = logs.segments(folder, name)[-1].path.relative_to(exam.folder.project)
    return warn(
        "logs",
        _("{file}, {time} ago: {text}", file=path, time=seconds(time.time() - when), text=text),
        joined("; ", filter(None, [await in_thread(lambda: _fix(exam, name, said)), shown])),
    )


def _age(unit: UnitStatus | None) -> float:
    """How old trouble may be: what came before a start that went well has been seen to."""
    is_well = unit is not None and unit.is_ready and not unit.restarts
    return min(RECENT, unit.uptime_s or RECENT) if unit is not None and is_well else RECENT


def _fix(exam: Examination, name: str, said: Sequence[str]) -> str:
    """What a traceback is known to need; empty if that is nothing."""
    from mika.supervisor.diagnose import find_missing, find_permanent_cause
    from mika.supervisor.missing import fix_for_missing

    project, missing = exam.config.project, find_missing(said, 1)
    cwd = project / (exam.config.process(type_of(name)).cwd or ".")
    return (fix_for_missing(project, cwd, missing) if missing else "") or find_permanent_cause(said, 1).fix


def _trouble(folder: Path, name: str, age: float) -> tuple[float, str, str, list[str]] | None:
    """When it was written, the name of the log, what it says, and all of it."""
    since = time.time() - age
    lines = [line for line in logs.read_tail(folder, name, _LINES) if line.time >= since]
    said = [logs.decode(line.data).rstrip() for line in lines]
    if (trouble := last_trouble(said)) is None:
        return None
    start, text = trouble
    end = next((number for number in range(start + 1, len(said)) if _is_error(said[number])), len(said))
    return lines[start].time, name, text, said[start : end + 3]  # pydantic names the field in the next two lines


def last_trouble(lines: Sequence[str]) -> tuple[int, str] | None:
    """Where the last traceback begins and what its last line says; also of one in the `exception` of a JSON line."""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if line.startswith("Traceback (most recent call last)"):
            text = _last_line(lines[index + 1 :])
            if not text.startswith(_STOPS):
                return index, text
        elif line.startswith("{") and "Traceback (most recent call last)" in line:
            if text := _of_json(line):
                return index, text
        elif line.startswith("Timeout (") and index + 1 < len(lines):
            return index, _("the event loop was blocked: {frame}", frame=_main_thread(lines[index + 1 :]))
    return None


def _last_line(lines: Sequence[str]) -> str:
    """The end of a traceback: the first line that is not indented and looks like an error."""
    for number, line in enumerate(lines):
        if _is_error(line):
            places = [row.strip() for row in lines[:number] if row.startswith("  File ")]
            # What other errors say is about the program; what these say is about a line.
            return _("{error} ({place})", error=line, place=places[-1]) if places and line.startswith(_SYNTAX) else line
    return _("a traceback")


def _is_error(line: str) -> bool:
    return not line[:1].isspace() and _ERROR.fullmatch(line) is not None


def _of_json(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return ""
    text = str(value.get("exception") or value.get("exc_info") or "") if isinstance(value, dict) else ""
    ends = [part for part in text.splitlines() if part and not part[0].isspace()]
    return ends[-1] if ends else ""


def _main_thread(dump: Sequence[str]) -> str:
    """Where the main thread is in the output of faulthandler: it is the last one, and its first frame the innermost."""
    frame: str = _("no frame")
    is_innermost = False
    for line in takewhile(lambda line: not line or line.startswith((*_THREADS, "  ")), dump):
        if line.startswith(_THREADS):
            is_innermost = True
        elif is_innermost and line.lstrip().startswith("File "):
            frame, is_innermost = line.strip(), False
    return frame
