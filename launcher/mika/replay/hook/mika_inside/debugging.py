"""Let a debugger into a live worker: listen for an editor, and make `breakpoint()` work where no editor is attached.

Nothing is isolated here: the program runs as always.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from functools import partialmethod
from importlib import import_module
from types import FrameType
from typing import Any

from .importing import when_imported
from .report import ORDER, say

_HOST = "127.0.0.1"
_PORTS = 20
"""How many ports to try: the same one at each start, so that the settings of an editor stay right."""


def install() -> None:
    """Wait for the program to import the SDK: a launcher around it (a reloader, `coverage run`) does not."""
    when_imported("temporalio", lambda _module: _let_in())
    when_imported("pdb", _leave_sigint)
    when_imported("temporalio.worker.workflow_sandbox._restrictions", _let_into_sandbox)


def _let_in() -> None:
    os.environ.pop("MIKA_INSIDE", None)  # its children are not what is meant, either
    plain, debugpy = sys.breakpointhook, None
    try:
        debugpy = import_module("debugpy")
        port = _listen(debugpy)
    except ImportError:
        say("no_debugger", prefix=sys.prefix, python=sys.executable)
    except Exception as error:  # noqa: BLE001 - whatever it is, the program itself must run
        debugpy = None
        say("debugger_failed", text=f"{type(error).__name__}: {error}")
    else:
        say("debugger", port=port)
    if plain is sys.__breakpointhook__ and "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _breakpoint_hook(debugpy)


def _listen(debugpy: Any) -> int:
    """Returns the port."""
    debugpy.configure(subProcess=False)
    _, port = debugpy.listen((_HOST, _free_port(ORDER["port"])))
    with suppress(ImportError, AttributeError):  # else it complains of pdb, with which it gets along
        import_module("pydevd_tracing").restore_sys_set_trace_func()
    return int(port)


def _free_port(first: int) -> int:
    """The first free one from there; 0 (any) if there is none."""
    for port in range(first, first + _PORTS):
        with socket.socket() as probe:
            if os.name != "nt":  # a port that was in use a moment ago is free, too; on Windows this would share it
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        return port
    return 0


def _breakpoint_hook(debugpy: Any) -> Any:
    """Stop in the editor if one is attached, and else in pdb; in the caller's own frame, not in one of the SDK's.

    debugpy's own hook does nothing while no editor is attached. In workflow code, the SDK has a hook of its own.
    """

    def stop(*_arguments: object, **_named: object) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and str(frame.f_globals.get("__name__")) == "temporalio.worker._debugger":
            frame = frame.f_back
        if debugpy is not None and debugpy.is_client_connected():
            settrace = import_module("pydevd").settrace
            settrace(suspend=True, trace_only_current_thread=True, patch_multiprocessing=False, stop_at_frame=frame)
            return
        _pdb().set_trace(frame)

    return stop


def _leave_sigint(pdb: Any) -> None:
    """With pdb's own handler, which it sets at each `continue`, the program could not be stopped gracefully."""
    pdb.Pdb.__init__ = partialmethod(pdb.Pdb.__init__, nosigint=True)


def _let_into_sandbox(module: Any) -> None:
    """Newer SDKs do so themselves. Without it, a workflow fails at a breakpoint: `No module named '_pydevd_bundle'`."""
    with suppress(AttributeError):
        restrictions = module.SandboxRestrictions
        restrictions.default = restrictions.default.with_passthrough_modules("_pydevd_bundle")


def _pdb() -> Any:
    pdb, tracing = import_module("pdb"), sys.gettrace()

    class Pdb(pdb.Pdb):  # type: ignore[misc, name-defined]
        def set_continue(self) -> None:
            super().set_continue()
            if not self.breaks:
                sys.settrace(tracing)  # an editor that attaches later sets breakpoints in this thread, too

    return Pdb()
