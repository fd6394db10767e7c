"""Let debuggers into processes: `mika up --debug NAME`, `mika restart NAME --debug`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mika import events, tasks
from mika.control.address import terminal_address
from mika.decoded import Json
from mika.events import Bus
from mika.project.folder import ProjectDir
from mika.quoting import command_line
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Unit
from mika.text import unknown_name
from mika.wording import _

if TYPE_CHECKING:
    from mika.backends.base import Backend
    from mika.supervisor.supervisor import Supervisor

_PORT = 5678
"""debugpy's own default, so that the settings which an editor proposes are right. The next free one is taken."""
_INTERVAL, _IDLE_INTERVAL = 0.2, 2.0  # s
_REPORT_SECONDS = 5.0
"""How long a process that is ready may take to import the SDK: by then its hook has reported."""
_SHORT_TASKS = _(
    "Temporal gives a workflow task its normal timeout (10 s by default): a workflow that is held longer in a debugger"
    " runs that step again"
)


def for_debugger(spec: ServiceSpec, folder: ProjectDir) -> ServiceSpec:
    """`spec` with the hook that lets a debugger in, in a terminal of its own, and with nothing that would hurry it."""
    from mika.replay.program import with_hook

    report = _report(folder, spec.name)
    report.unlink(missing_ok=True)
    # Without a beat, nobody takes a breakpoint for a hang.
    env = with_hook(
        {name: value for name, value in spec.env.items() if name != "MIKA_BEAT_FILE"},
        MIKA_INSIDE=json.dumps({"do": "debug", "port": _PORT, "report": str(report)}),
        MIKA_HANG_TIMEOUT="0",
        TEMPORAL_DEBUG="1",  # a workflow runs in the main thread, without the deadlock detection of the SDK
        PYDEVD_DISABLE_FILE_VALIDATION="1",  # a warning about frozen modules, which does not concern the program
    )
    terminal = None if sys.platform == "win32" else terminal_address(folder.project, spec.name)
    return replace(spec, env=env, terminal=terminal)


def check_names(names: Sequence[str], units: Sequence[Unit]) -> None:
    """Raise UsageError for a name that none of these processes has."""
    processes = [unit for unit in units if unit.role == "process"]
    for name in names:
        if not any(name in (unit.name, unit.type) for unit in processes):
            raise unknown_name(_("process"), name, [unit.name for unit in processes])


class Debugging:
    """The debuggers of one stack. `names` are the processes to debug from the start."""

    def __init__(self, folder: ProjectDir, backend: Backend, names: Sequence[str], bus: Bus) -> None:
        self._folder, self._backend, self._names, self._bus = folder, backend, names, bus
        self._has_long_tasks = bool(names) and backend.allow_long_tasks()

    def begin(self, supervisor: Supervisor) -> None:
        """Before anything is started. Raises UsageError for a name that is not one of a process."""
        supervisor.debug(self._names)
        if self._names and (note := self._note(self._names)):
            self._bus.publish(events.Notice(level="info", message=note))

    def restart(self, supervisor: Supervisor, names: Sequence[str], notes: Sequence[str]) -> dict[str, object]:
        """The answer to `DebugUnits`, with `notes` about the settings."""
        selected = supervisor.control("restart", names, debug=True)
        return {"names": selected, "notes": [*notes, *filter(None, [self._note(names)])]}

    def _note(self, names: Sequence[str]) -> str:
        if self._has_long_tasks or self._backend.name == "none":
            return ""
        if self._backend.name != "embedded":
            return _SHORT_TASKS
        up = command_line(["mika", "up", *(word for name in names for word in ("--debug", name))])
        return _("{short}; `mika down`, then `{command}` gives it 120 s", short=_SHORT_TASKS, command=up)

    async def keep_telling(self, supervisor: Supervisor) -> None:
        """Publish what the hooks report. Runs until it is cancelled."""
        told: dict[str, list[str]] = {}
        while True:
            names = [name for name, managed in supervisor.managed.items() if managed.debug]
            await tasks.sleep_until_tick(_INTERVAL if names else _IDLE_INTERVAL)
            for name in names:
                lines = reported(self._folder, name)
                if lines != told.get(name, []):
                    told[name] = lines
                    for line in lines:
                        self._bus.publish(events.Notice(name=name, level="info", message=line))


def reported(folder: ProjectDir, name: str) -> list[str]:
    """What the hook in a process has reported about debuggers, for the user; empty as long as that is nothing."""
    return [line for report in _read(_report(folder, name)) for line in _in_words(folder, name, report)]


def wait_for_report(folder: ProjectDir, name: str) -> list[str]:
    """The same for a process that is ready: it is waited for, and something is said in any case."""
    deadline = time.monotonic() + _REPORT_SECONDS
    while not (lines := reported(folder, name)):
        if time.monotonic() >= deadline:
            text = _("no editor can attach: it imports no temporalio, or its Python takes no preparation (`-I`, `-E`)")
            return [text, *_terminal(name)]
        time.sleep(_INTERVAL)
    return lines


def _in_words(folder: ProjectDir, name: str, report: Json) -> Iterator[str]:
    match report:
        case {"kind": "debugger", "port": int(port)}:
            settings = {
                "name": f"mika: {name}",
                "type": "debugpy",
                "request": "attach",
                "connect": {"host": "127.0.0.1", "port": port},
            }
            yield _("a debugger can attach at 127.0.0.1:{port}", port=port)
            yield _("VS Code, in `configurations` of .vscode/launch.json: {settings}", settings=json.dumps(settings))
            yield _(
                "PyCharm 2025.3 or later: Run | Edit Configurations | Attach to DAP, with 127.0.0.1 and {port}",
                port=port,
            )
            yield from _terminal(name, _(" while no editor is attached"))
        case {"kind": "no_debugger", "prefix": str(prefix), "python": str(python)}:
            from mika.detect.environments import how_to_add

            yield _(
                "no editor can attach: debugpy is not installed in {folder}:"
                " run {command}, then `mika restart {name} --debug`",
                folder=prefix,
                command=how_to_add(folder.project, "debugpy", Path(python)),
                name=name,
            )
            yield from _terminal(name)
        case {"kind": "debugger_failed", "text": str(text)}:
            yield _("no editor can attach: debugpy does not listen: {error}", error=text)
            yield from _terminal(name)


def _terminal(name: str, when: str = "") -> list[str]:
    if sys.platform == "win32":
        return []
    return [_("`breakpoint()` in the code stops in `mika attach {name}`{when}", name=name, when=when)]


def _report(folder: ProjectDir, name: str) -> Path:
    return folder.run / f"{name}.debug"


def _read(report: Path) -> list[Json]:
    """The whole lines of a report; what is not one of the hook's is ignored."""
    try:
        lines = report.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]
    except (OSError, ValueError):
        return []
