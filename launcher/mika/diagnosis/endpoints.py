"""A workflow that calls a Nexus endpoint which the server does not have."""

from __future__ import annotations

import re

from mika.diagnosis import commands
from mika.wording import _

_MISSING = re.compile(r'BadScheduleNexusOperationAttributes: endpoint "([^"]+)" not found')


def missing_endpoint(text: str) -> str:
    """The name of the endpoint, according to an error of Temporal; empty if it says something else."""
    match = _MISSING.search(text)
    return match[1] if match is not None else ""


def how_to_make(name: str, namespace: str, address: str) -> str:
    """Both ways. Only its author knows which worker is to handle the calls."""
    return _(
        "declare it in mika.toml (`{line}` below `[temporal.nexus_endpoints]`), then `mika down` and `mika up`; or"
        " {command}. QUEUE is the task queue of the worker that handles the calls",
        line=f'{name} = {{ task_queue = "QUEUE" }}',
        command=commands.temporal(commands.create_endpoint(name, "QUEUE", namespace), address),
    )
