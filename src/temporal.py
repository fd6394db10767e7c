"""Connections to Temporal."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from temporalio.client import Client
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

if TYPE_CHECKING:
    from src.config import Settings


async def connect(settings: Settings, identity: str, *, lazy: bool) -> Client:
    """A client. A lazy one connects on its first call, and tries again on each call while that fails.

    Raises `RuntimeError` (not `RPCError`) if it is not lazy and nothing answers. Neither kind checks the namespace.
    How to log in (TEMPORAL_API_KEY, TEMPORAL_TLS…, a profile) is read as by every tool of Temporal.
    """
    # Unless its log is forwarded, the SDK's Rust core writes plain text to stdout.
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"))
    log = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=log)), error_if_already_set=False)
    login = ClientConfigProfile.load().to_client_connect_config()
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=login.get("api_key"),
        tls=login.get("tls", False),
        rpc_metadata=login.get("rpc_metadata", {}),
        identity=identity,
        lazy=lazy,
    )


def own_identity(role: str) -> str:
    """`mika-ROLE/PID@HOST`."""
    return f"mika-{role}/{os.getpid()}@{socket.gethostname()}"
