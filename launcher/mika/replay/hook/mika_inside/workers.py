"""In place of running, each worker of the program does what the order asks for, and then waits to be killed."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import traceback
from typing import Any

from .importing import when_imported
from .report import ORDER, leave_unknown, say

BUILD_ID = "mika-check"
_lock = threading.Lock()
_count = 0


def install() -> None:
    when_imported("temporalio.worker._worker", _replace_run)


def active_config(owner: Any) -> dict[str, Any]:
    """The configuration of a worker or client, as its plugins have changed it."""
    if "active_config" in inspect.signature(owner.config).parameters:
        return dict(owner.config(active_config=True))
    return dict(getattr(owner, "_config", None) or owner.config())


def workflow_classes(worker: Any) -> dict[str, type]:
    """The types that a worker has; `*` is a dynamic workflow, which takes any."""
    import temporalio.workflow

    define = temporalio.workflow._Definition.must_from_class
    return {define(cls).name or "*": cls for cls in active_config(worker).get("workflows") or ()}


def activity_names(worker: Any) -> list[str]:
    """The types of activities that a worker has; `*` is a dynamic one, which takes any."""
    import temporalio.activity

    define = temporalio.activity._Definition.from_callable
    definitions = map(define, active_config(worker).get("activities") or ())
    return [(definition.name if definition is not None else None) or "*" for definition in definitions]


def _replace_run(module: Any) -> None:
    worker_class = module.Worker
    run_name = next((name for name in ("_run", "run") if hasattr(worker_class, name)), None)
    if run_name is None:
        leave_unknown("temporalio.worker.Worker.run")
    if hasattr(module, "load_default_build_id"):
        module.load_default_build_id = lambda **_: BUILD_ID  # it would read every module of the program
    init_name = "_init_from_config" if hasattr(worker_class, "_init_from_config") else "__init__"
    init = getattr(worker_class, init_name)

    def announced_init(self: Any, *arguments: Any, **named: Any) -> None:
        global _count
        init(self, *arguments, **named)
        with _lock:
            self._mika_number, _count = _count, _count + 1
        say(
            "worker",
            number=self._mika_number,
            queue=active_config(self)["task_queue"],
            types=list(workflow_classes(self)),
            activities=activity_names(self),
            files=project_files(),
        )

    async def run_task(self: Any) -> None:
        try:
            await _task(self)
        except BaseException as error:
            say("broken", number=self._mika_number, text="".join(traceback.format_exception(error))[-3000:])
            raise
        await asyncio.Event().wait()

    setattr(worker_class, init_name, announced_init)
    setattr(worker_class, str(run_name), run_task)


async def _task(worker: Any) -> None:
    match ORDER["do"]:
        case "check":
            from .checking import check

            await check(worker)
        case "describe":
            from .describing import describe

            describe(worker)
        case "call":
            from .starting import call

            await call(worker)
        case other:
            raise ValueError(f"unknown task {other}")


def project_files() -> list[str]:
    """The source files below the working directory that the program has imported, without those of its environment."""
    root, prefix = os.path.realpath(os.getcwd()) + os.sep, os.path.realpath(sys.prefix) + os.sep
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            path = os.path.realpath(file)
            if path.startswith(root) and not path.startswith(prefix) and f"{os.sep}site-packages{os.sep}" not in path:
                files.add(path)
    return sorted(files)
