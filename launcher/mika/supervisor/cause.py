"""Why a process exited, and whether another attempt would meet the same reason."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from mika.machine import ports
from mika.machine.local import in_thread
from mika.project import logs
from mika.reason import NONE, Reason
from mika.supervisor.diagnose import (
    ended_itself,
    find_error_line,
    find_permanent_cause,
    fix_for_early_exit,
    is_port_taken,
    numbers,
)
from mika.supervisor.explanation import Explanation
from mika.supervisor.hosts import explain_host
from mika.supervisor.output import last_lines
from mika.wording import _

_LIMIT = 3.0


async def explain(
    log: tuple[Path, str, logs.Position | None], process_type: str, code: int, own_ports: Collection[int]
) -> Explanation:
    """What its output says about an exit with `code`. `log`: the folder, the name, and where this run of it begins.

    Takes at most _LIMIT seconds.
    """
    lines = last_lines(*log)
    return Explanation(
        lines=tuple(lines),
        error_line=find_error_line(lines),
        cause=await find_cause(lines, code, own_ports),
        early_fix=fix_for_early_exit(process_type, lines, code),
        ended_itself=ended_itself(code, lines),
    )


async def find_cause(lines: Sequence[str], code: int, own_ports: Collection[int]) -> Reason:
    """The permanent cause of an exit with `code`, by its last `lines` of output; NONE if there is none.

    Takes at most _LIMIT seconds.
    """
    if code == 0:
        return NONE
    try:
        async with asyncio.timeout(_LIMIT):
            return await in_thread(lambda: _find(lines, code, own_ports))
    except TimeoutError:  # a name lookup may hang for long, and a stop must not wait for it
        return NONE


def _find(lines: Sequence[str], code: int, own_ports: Collection[int]) -> Reason:
    if not ended_itself(code, lines):  # whatever it has said: it was killed
        return NONE
    cause = find_permanent_cause(lines, code)
    if is_port_taken(cause.text):
        return _taken_port(cause.text, own_ports)
    return cause or explain_host(lines)


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
