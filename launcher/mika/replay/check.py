"""Check one process of a stack: run the command of its worker, and judge whether its code fits the runs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from shutil import which

from mika.config.process_options import parse_ready
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.replay.program import Order, Outcome, run_inside
from mika.replay.verdict import Verdict, judge, not_checked
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch, Unit

if sys.platform == "win32":
    from mika.replay import _windows as _system
else:
    from mika.replay import _posix as _system

TIMEOUT = 10.0
"""Seconds for a check, from the start of the program to the last history."""

_RUNNERS = ("uv", "poetry", "pdm", "hatch", "pipenv", "rye")
"""Tools whose `run` runs a program of the project's environment."""


def queues_of(unit: Unit) -> tuple[str, ...]:
    """The task queues that its `ready` rule names."""
    rule = parse_ready(unit.address) if unit.address else None
    return tuple(each.queue for each in (rule, *rule.others)) if rule is not None and rule.kind == "worker" else ()


def spec_for_check(unit: Unit, run_id: str) -> ServiceSpec | None:
    """What to run of `unit`; None for one that is not a process of its own."""
    if unit.spec is None:
        return None
    return unit.spec(Launch(generation=0, run_id=run_id, identity="", beat_file=None, pids=lambda: ()))


async def check_unit(
    unit: Unit, folder: ProjectDir, order: Order, *, run_id: str, live_pid: int = 0, timeout: float = TIMEOUT
) -> Verdict:
    """Check the code of `unit` as it is now. `run_id` marks what is started, `live_pid` is its running process.

    Only a program that is known to be Python is run: another one would be a live worker.
    """
    outcome = await run_unit(unit, folder, order, run_id=run_id, live_pid=live_pid, timeout=timeout)
    if isinstance(outcome, Reason):
        return not_checked(unit.type, folder.project, outcome)
    return judge(unit.type, folder.project, outcome, _expected(unit, order))


async def run_unit(
    unit: Unit, folder: ProjectDir, order: Order, *, run_id: str, live_pid: int = 0, timeout: float = TIMEOUT
) -> Outcome | Reason:
    """As `check_unit`: what its program has reported, or why it was not run."""
    spec = spec_for_check(unit, run_id)
    if spec is None:
        return Reason("not checked: it is not a process of this machine")
    if live_pid and not _has_core_in_tree(live_pid):
        return Reason("not checked: it does not use Temporal's Python SDK")
    if not live_pid and not runs_python(spec.command, spec.cwd, spec.env.get("PATH")):
        return Reason("not checked: only a running process shows whether this command runs Python", "mika up")
    return await run_inside(spec, folder, order, queues=_expected(unit, order), timeout=timeout)


def _expected(unit: Unit, order: Order) -> tuple[str, ...]:
    return () if order.only or order.histories or order.do != "check" else queues_of(unit)


def _has_core_in_tree(pid: int) -> bool:
    return any(_system.has_core(each) for each, _ in _system.tree(pid))


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
    if Path(words[0]).stem in _RUNNERS and words[1:2] == ["run"]:
        words = words[2:]
        if words[:1] == ["-m"] or (words and words[0].endswith(".py")):
            return True
        scripts = cwd / ".venv" / ("Scripts" if os.name == "nt" else "bin")
        path = os.pathsep.join(filter(None, (str(scripts), path)))
    return bool(words) and (_is_python(words[0]) or _is_python_script(cwd / (which(words[0], path=path) or words[0])))


def _is_python(word: str) -> bool:
    return Path(word).stem.lower().startswith(("python", "pypy")) or Path(word).name.lower() in ("py", "py.exe")


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


def may_be_worker(units: Collection[Unit]) -> list[Unit]:
    """One unit for each type that polls a queue as far as the settings say, and that may be checked."""
    types: dict[str, Unit] = {}
    for unit in units:
        if unit.role == "process" and unit.check and queues_of(unit):
            types.setdefault(unit.type, unit)
    return list(types.values())
