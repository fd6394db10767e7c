"""Keep a checked program from touching anybody else: it polls nothing, writes nothing to the server, takes no port.

Otherwise the second copy of a worker would take tasks of the live one, or its ports, or its sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import inspect
import itertools
import os
import socket
import sys
from contextvars import ContextVar
from typing import Any

from .importing import is_awaited, when_imported
from .report import ORDER, leave_unknown, say

_READS = ("get_", "list_", "describe_", "count_", "scan_", "query_", "poll_workflow_execution_update", "check")
"""How the names of calls begin that change nothing."""

is_ordered: ContextVar[bool] = ContextVar("is_ordered", default=False)
"""Set where the order itself makes a call. What the program does at the same time is still kept from the server."""

_numbers = itertools.count()


def install() -> None:
    when_imported("temporalio.worker", _expect_all)
    when_imported("temporalio.bridge.worker", _replace_core_worker)
    when_imported("temporalio.service", _keep_calls)
    when_imported("temporalio.runtime", _without_metrics)
    when_imported("socket", _free_ports)
    when_imported("asyncio.unix_events", _keep_socket_files)
    when_imported("gunicorn.pidfile", _without_pid_file)
    when_imported("gunicorn.config", _without_control_socket)


def _expect_all(_module: Any) -> None:
    """A worker can be made from now on. In another version of the SDK, what must be patched may be elsewhere."""
    for name in ("temporalio.bridge.worker", "temporalio.service", "temporalio.runtime", "temporalio.worker._worker"):
        if is_awaited(name):
            leave_unknown(name)


class _NoCoreWorker:
    """In place of the worker of the SDK's Rust core: nothing is registered, nothing polls."""

    async def validate(self) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"this worker is only checked by mika, and does not run ({name})")


def _replace_core_worker(module: Any) -> None:
    if not hasattr(module.Worker, "create"):
        leave_unknown("temporalio.bridge.worker.Worker.create")
    module.Worker.create = staticmethod(lambda *_, **__: _NoCoreWorker())
    core = sys.modules.get("temporalio.bridge.temporal_sdk_bridge")
    if not hasattr(core, "new_worker"):
        leave_unknown("temporalio.bridge.temporal_sdk_bridge.new_worker")
    # The last line: what makes live workers is gone, whoever would call it.
    core.new_worker = lambda *_: leave_unknown("use of temporalio.bridge.worker.Worker.create")  # type: ignore[union-attr]


def _keep_calls(module: Any) -> None:
    client_class = getattr(module, "_BridgeServiceClient", None)
    if client_class is None or not hasattr(client_class, "_rpc_call"):
        leave_unknown("temporalio.service._BridgeServiceClient._rpc_call")
    plain = client_class._rpc_call

    @functools.wraps(plain)
    async def call(self: Any, rpc: str, req: Any, resp_type: Any, **more: Any) -> Any:
        if is_ordered.get():
            return await plain(self, rpc, req, resp_type, **more)
        reads = rpc.startswith(_READS) or more.get("service") == "health"
        if getattr(req, "wait_new_event", False) or rpc.startswith("poll_"):
            await asyncio.Event().wait()  # it waits for the result of something that was never started
        if ORDER.get("offline") or not reads:
            return resp_type()
        return await plain(self, rpc, req, resp_type, **more)

    client_class._rpc_call = call
    if ORDER.get("offline"):
        _never_connect(module, client_class)
    else:
        _report_no_server(client_class)


def _report_no_server(client_class: Any) -> None:
    """That there is no server says nothing about the code."""
    plain = client_class.connect

    async def connect(config: Any) -> Any:
        try:
            return await plain(config)
        except Exception as error:
            say("unconnected", text=str(error)[:300])
            raise

    client_class.connect = staticmethod(connect)


def _never_connect(module: Any, client_class: Any) -> None:
    """There is no server: a connection is an object without one."""

    async def connect(config: Any) -> Any:
        client = client_class(config)
        client._runtime = config.runtime or module.temporalio.runtime.Runtime.default()
        client._bridge_client = object()
        return client

    client_class.connect = staticmethod(connect)


def _without_metrics(module: Any) -> None:
    """The core would take the port of the metrics, and report this process to the server."""
    plain = module.Runtime.__init__
    has_heartbeat = "worker_heartbeat_interval" in inspect.signature(plain).parameters

    @functools.wraps(plain)
    def init(self: Any, *, telemetry: Any, **more: Any) -> None:
        if getattr(telemetry, "metrics", None) is not None:
            telemetry = dataclasses.replace(telemetry, metrics=None)
        if has_heartbeat:
            more["worker_heartbeat_interval"] = None
        plain(self, telemetry=telemetry, **more)

    module.Runtime.__init__ = init


def _without_pid_file(module: Any) -> None:
    """It would find the pid of the live program in it, and end."""
    module.Pidfile.create = lambda *_: None


def _without_control_socket(module: Any) -> None:
    """It would delete that of the live program."""
    if hasattr(module, "ControlSocketDisable"):  # since gunicorn 25.1
        module.ControlSocketDisable.default = True


def _free_ports(module: Any) -> None:
    """Any port instead of the one that the live program has, and another socket file."""
    plain = module.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            address = (address[0], 0, *address[2:])
        elif self.family == getattr(socket, "AF_UNIX", None):
            address = _spare_socket_file(address)
        plain(self, address)
        if self.family == getattr(socket, "AF_UNIX", None) and _is_file(address):
            _leave_to_parent(os.path.abspath(address))

    module.socket.bind = bind


def _leave_to_parent(path: str) -> None:
    """Whoever removes the folder of the report removes the file, too: this process is going to be killed."""
    note = os.path.join(os.path.dirname(ORDER["report"]), f"{os.stat(path).st_ino}.elsewhere")
    with contextlib.suppress(OSError):
        os.symlink(path, note)


def _keep_socket_files(module: Any) -> None:
    """In asyncio, a server removes an existing socket file before it binds: the live program would lose it."""
    loop_class = module._UnixSelectorEventLoop
    plain = loop_class.create_unix_server

    async def create(self: Any, protocol_factory: Any, path: Any = None, **more: Any) -> Any:
        return await plain(self, protocol_factory, None if path is None else _spare_socket_file(path), **more)

    loop_class.create_unix_server = create


def _spare_socket_file(address: Any) -> Any:
    """`address`, unless a live program has it: then a name of Linux's abstract namespace, which needs no file."""
    if not _is_file(address) or not os.path.exists(address):
        return address
    return f"\0mika-check-{os.getpid()}-{next(_numbers)}"


def _is_file(address: Any) -> bool:
    """Whether it is the path of a socket file."""
    return isinstance(address, (str, os.PathLike)) and not os.fspath(address).startswith("\0")
