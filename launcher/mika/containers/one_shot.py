"""Which services are one-shots: they do their work once and exit, and that is not a crash."""

from __future__ import annotations

COMPLETED = "service_completed_successfully"
"""The condition in `depends_on` that waits until the other service has exited with code 0."""


def is_one_shot(*, is_awaited: bool, restart: str | None, has_ports: bool) -> bool:
    """`is_awaited`: another service depends on this one under the condition `COMPLETED`.

    With `restart: "no"` and no published port it is one as well: nobody could use it after it has exited.
    """
    return is_awaited or (restart == "no" and not has_ports)
