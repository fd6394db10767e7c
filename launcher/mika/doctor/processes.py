"""The processes of a project, and what each of them is for: its `ready` rule says that, whatever its name is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from mika.config.load import Config
from mika.config.process_options import Ready, parse_ready
from mika.detect import written
from mika.detect.findings import UNKNOWN_QUEUE, Proposal
from mika.errors import UsageError
from mika.frozen import frozen
from mika.procfile import entries as procfile
from mika.project.folder import ProjectDir
from mika.status import UnitStatus

NO_RULE = Ready("none", "")
_CHECKS = {"worker": "worker", "http": "api", "tcp": "api"}


@frozen
class Process:
    """`name` as in the Procfile. Without a `command`, it is known only from the running stack."""

    name: str
    command: str
    rule: Ready

    @property
    def queues(self) -> tuple[str, ...]:
        """The task queues that it polls, as far as its rule names them."""
        return self.rule.queues

    @property
    def url(self) -> str:
        """Where it is asked by HTTP; empty if its rule names no such address."""
        return self.rule.target if self.rule.kind == "http" else ""

    @property
    def place(self) -> str:
        """Where it is to listen; empty if its rule does not say that."""
        return f"127.0.0.1:{self.rule.target}" if self.rule.kind == "tcp" else self.url


def check_of(rule: Ready) -> str:
    """The id of the check about a process with this rule: what only the supervisor knows about is in `stack`."""
    return _CHECKS.get(rule.kind, "stack")


def rule_of(unit: UnitStatus) -> Ready:
    """The rule with which a process of the running stack was started."""
    try:
        return parse_ready(unit.address) if unit.address else NO_RULE
    except ValueError:  # of another version of mika
        return NO_RULE


def look(config: Config, folder: ProjectDir) -> Proposal | None:
    """What a project without a Procfile is made of, as `mika up` would find it; None if it has one, or runs already.

    Takes 2 s of the CPU at most.
    """
    return None if (config.project / "Procfile").exists() or folder.is_locked() else written.proposed(config)


def declared(config: Config, found: Proposal | None) -> list[Process]:
    """Those of the Procfile, or of what was `found` without one; none if the Procfile is broken."""
    if found is not None:
        rules = {p.name: NO_RULE if UNKNOWN_QUEUE in p.queues else config.ready_rule(p.name) for p in found.processes}
        return [Process(process.name, process.command, rules[process.name]) for process in found.processes]
    with contextlib.suppress(UsageError):  # the check `config` reports it
        entries = procfile.read(config.project / "Procfile")
        return [Process(entry.name, entry.command, config.ready_rule(entry.name)) for entry in entries]
    return []


def with_running(processes: Iterable[Process], units: Iterable[UnitStatus]) -> tuple[Process, ...]:
    """The running stack counts more: what it was started with stays, whatever the files say by now."""
    running = {unit.type: rule_of(unit) for unit in units}
    known = [replace(process, rule=running.pop(process.name, process.rule)) for process in processes]
    return (*known, *(Process(name, "", rule) for name, rule in running.items()))
