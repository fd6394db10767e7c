"""Check one process of a stack: run the command of its worker, and judge whether its code fits the runs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import which

from mika.config.process_options import parse_ready
from mika.detect.packages import PYTHON, RUNNERS
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.replay.program import Order, Outcome, run_inside
from mika.replay.verdict import Verdict, judge, not_checked
from mika.supervisor.diagnose import Missing
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch, Unit
from mika.wording import _

if sys.platform == "win32":
    from mika.replay import _windows as _system
else:
    from mika.replay import _posix as _system

TIMEOUT = 10.0
"""Seconds for a check, from the start of the program to the last history."""


@frozen
class Program:
    """A process of a stack, whose command is run once more, beside it.

    `run_id` marks what is started; `live_pid` is the pid of the running process, or 0.
    """

    unit: Unit
    folder: ProjectDir
    run_id: str
    live_pid: int = 0

    @property
    def queues(self) -> tuple[str, ...]:
        """The task queues that its `ready` rule names."""
        return _queues_of(self.unit)


async def check_program(program: Program, order: Order, *, timeout: float = TIMEOUT) -> Verdict:
    """Check its code as it is now. `timeout` is in seconds."""
    outcome = await run_program(program, order, timeout=timeout)
    if isinstance(outcome, Reason):
        return not_checked(program.unit.type, program.folder.project, outcome)
    name, project, are_recorded = program.unit.type, program.folder.project, bool(order.histories)
    verdict = judge(name, project, outcome, _expected(program, order), are_recorded=are_recorded)
    package = verdict.error.missing if verdict.error is not None else ""
    if not package:
        return verdict
    return replace(verdict, error_fix=await in_thread(lambda: program.unit.fix_for_missing(Missing("python", package))))


async def run_program(program: Program, order: Order, *, timeout: float = TIMEOUT) -> Outcome | Reason:
    """What it has reported; or why it was not run. Only what surely is Python is: another program would be live."""
    spec = spec_of(program.unit, program.run_id)
    if spec is None:
        return Reason(_("not checked: it is not a process of this machine"))
    if program.live_pid and not _has_core_in_tree(program.live_pid):
        return Reason(_("not checked: it does not use Temporal's Python SDK"))
    if not program.live_pid and not runs_python(spec.command, spec.cwd, spec.env.get("PATH")):
        return Reason(_("not checked: only a running process shows whether this command runs Python"), "`mika up`")
    program.folder.create()
    with program.folder.marked(program.run_id):  # a program that outlives a killed mika is found by the next command
        return await run_inside(spec, program.folder, order, queues=_expected(program, order), timeout=timeout)


def spec_of(unit: Unit, run_id: str = "") -> ServiceSpec | None:
    """What runs of `unit`, outside of the supervisor; None for one that is not a process of its own."""
    if unit.spec is None:
        return None
    return unit.spec(Launch(generation=0, run_id=run_id, identity="", beat_file=None, pids=lambda: ()))


def _expected(program: Program, order: Order) -> tuple[str, ...]:
    return () if order.only or order.histories or order.do != "check" else program.queues


def _queues_of(unit: Unit) -> tuple[str, ...]:
    return parse_ready(unit.address).queues if unit.address else ()


def _has_core_in_tree(pid: int) -> bool:
    return any(_system.has_core(each) for each, _parent in _system.Tree(pid).look())


def runs_python(command: Sequence[str] | str, cwd: Path, path: str | None = None) -> bool:
    """Whether the command surely runs Python: its interpreter, a script for it, or a tool that runs one of both.

    `path` is the PATH of the process.
    """
    try:
        words = shlex.split(command, posix=False) if isinstance(command, str) else list(command)
    except ValueError:
        return False
    if not words:
        return False
    if Path(words[0]).stem in RUNNERS and words[1:2] == ["run"]:
        words = words[2:]
        if words[:1] == ["-m"] or (words and words[0].endswith(".py")):
            return True
        scripts = cwd / ".venv" / ("Scripts" if os.name == "nt" else "bin")
        path = os.pathsep.join(filter(None, (str(scripts), path)))
    if not words:
        return False
    is_python = PYTHON.fullmatch(Path(words[0]).name) is not None
    return is_python or _is_python_script(cwd / (which(words[0], path=path) or words[0]))


def _is_python_script(path: Path) -> bool:
    """A console script: its first line names the interpreter; on Windows, it is a program with a zip at its end."""
    try:
        with path.open("rb") as file:
            head = file.readline(300)
            if head.startswith(b"#!"):
                return b"python" in head or b"pypy" in head
            return head.startswith(b"MZ") and b"__main__.py" in path.read_bytes()[-4096:]
    except OSError:
        return False


def polls_a_queue(unit: Unit) -> bool:
    """Whether it is a process that is a worker, as far as the settings say."""
    return unit.role == "process" and bool(_queues_of(unit))


def may_be_worker(units: Collection[Unit]) -> list[Unit]:
    """One unit for each type that polls a queue as far as the settings say, and that may be checked."""
    types: dict[str, Unit] = {}
    for unit in units:
        if unit.check and polls_a_queue(unit):
            types.setdefault(unit.type, unit)
    return list(types.values())
