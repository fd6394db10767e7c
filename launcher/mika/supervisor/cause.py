"""Whether a process exited for a reason that another attempt would meet again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from mika.machine import ports
from mika.machine.local import in_thread
from mika.reason import NONE, Reason

_LIMIT = 3.0


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
    # Imported here, so that no start waits for their regular expressions.
    from mika.supervisor.diagnose import ended_itself, find_permanent_cause
    from mika.supervisor.hosts import explain_host

    cause = find_permanent_cause(lines, code)
    if cause and _lasts(cause.text, own_ports):
        return cause
    return explain_host(lines) if ended_itself(code, lines) else NONE


def _lasts(cause: str, own_ports: Collection[int]) -> bool:
    """A port that nobody listens on is only taken for a while: closed connections keep it, for a minute."""
    from mika.supervisor.diagnose import is_port_taken, numbers

    return not is_port_taken(cause) or any(ports.has_listener(port) for port in {*own_ports, *numbers(cause)})
