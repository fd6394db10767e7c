"""What is said of a call to Temporal that failed."""

from __future__ import annotations

import pytest
from mika.cli.asking import failed_call
from temporalio.service import RPCError, RPCStatusCode


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (RPCStatusCode.CANCELLED, "Temporal did not answer in time"),  # what the SDK makes of its own deadline
        (RPCStatusCode.DEADLINE_EXCEEDED, "Temporal did not answer in time"),
        (RPCStatusCode.UNAVAILABLE, "Temporal cannot be reached: why"),
        (RPCStatusCode.INVALID_ARGUMENT, "Temporal refuses: why"),
    ],
)
def test_only_what_the_server_refused_is_called_so(status: RPCStatusCode, message: str) -> None:
    failed = failed_call(RPCError("why", status, b""))
    assert (failed.message, failed.hint, failed.code) == (message, "`mika doctor` checks it", "temporal_error")
