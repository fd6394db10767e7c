"""Why a process exited, and whether another attempt would meet the same reason."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mika.machine import ports
from mika.machine.local import in_thread
from mika.project import logs
from mika.reason import NONE, Reason
from mika.supervisor.diagnose import (
    Missing,
    ended_itself,
    ends_with_error,
    find_error_line,
    find_missing,
    find_permanent_cause,
    fix_for_early_exit,
    is_port_taken,
    numbers,
)
from mika.supervisor.explanation import Explanation
from mika.supervisor.hosts import explain_host
from mika.supervisor.output import last_lines
from mika.supervisor.refused import fix_for_refused, wrong_server
from mika.wording import _

_LIMIT = 3.0
_FULL = 1 << 16  # bytes
T = TypeVar("T")


async def explain(
    log: tuple[Path, str, logs.Position | None],
    process_type: str,
    code: int,
    own_ports: Collection[int],
    temporal: str,
    fix_for_missing: Callable[[Missing], str],
) -> Explanation:
    """What its output says about an exit with `code`. `log`: the folder, the name, and where this run of it begins.

    `temporal` is the address that it was given; `fix_for_missing` as in `Unit`. Takes at most 3 * _LIMIT seconds.
    """
    lines = last_lines(*log)
    error_line = find_error_line(lines) or _full_disk(log[0])
    code = code or int(ends_with_error(lines))
    return Explanation(
        lines=tuple(lines),
        error_line=error_line if code else "",
        cause=await _with_fix(
            await find_cause(lines, code, own_ports, temporal), find_missing(lines, code), fix_for_missing
        ),
        early_fix=fix_for_early_exit(process_type, lines, code)
        or await _limited(lambda: fix_for_refused(lines, error_line, temporal), ""),
        ended_itself=ended_itself(code, lines),
    )


def _full_disk(folder: Path) -> str:
    """What to say if nothing more could be written to the log."""
    try:
        is_full = shutil.disk_usage(folder).free < _FULL
    except OSError:
        return ""
    return _("the disk of {folder} is full", folder=folder) if is_full else ""


async def _with_fix(cause: Reason, missing: Missing | None, fix_for_missing: Callable[[Missing], str]) -> Reason:
    """With the fix for what is `missing`, if that is the cause."""
    if not cause or missing is None:
        return cause
    return replace(cause, fix=await _limited(lambda: fix_for_missing(missing), "") or cause.fix)


async def find_cause(lines: Sequence[str], code: int, own_ports: Collection[int], temporal: str = "") -> Reason:
    """The permanent cause of an exit with `code`, by its last `lines` of output; NONE if there is none.

    `temporal` as in `explain`. Takes at most _LIMIT seconds.
    """
    if code == 0:
        return NONE
    return await _limited(lambda: _find(lines, code, own_ports, temporal), NONE)


async def _limited(find: Callable[[], T], unknown: T) -> T:
    """What `find` finds within _LIMIT seconds: a name lookup may hang for long, and a stop must not wait for it."""
    try:
        async with asyncio.timeout(_LIMIT):
            return await in_thread(find)
    except TimeoutError:
        return unknown


def _find(lines: Sequence[str], code: int, own_ports: Collection[int], temporal: str) -> Reason:
    if not ended_itself(code, lines):  # whatever it has said: it was killed
        return NONE
    cause = find_permanent_cause(lines, code)
    if is_port_taken(cause.text):
        return _taken_port(cause.text, own_ports)
    return cause or explain_host(lines) or wrong_server(lines, find_error_line(lines), temporal)


def _taken_port(cause: str, own_ports: Collection[int]) -> Reason:
    """`cause` with who has the port. NONE if nobody listens: closed connections keep a port, but only for a minute."""
    port = next((port for port in (*numbers(cause), *own_ports) if ports.has_listener(port)), None)
    if port is None:
        return NONE
    program = ports.describe_listener(ports.find_listener("0.0.0.0", port))  # at any address of this machine
    return Reason(
        cause,
        _(
            "{program} listens on port {port}; stop that program, or choose another port",
            program=program,
            port=port,
        ),
    )
