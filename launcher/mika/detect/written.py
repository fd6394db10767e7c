"""A proposal put to use: as the two files that `mika init` writes, and in memory as if they had been read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from types import MappingProxyType

from mika.config.load import Config
from mika.config.process_options import ProcessOptions
from mika.config.settings import BY_NAME, make_setting
from mika.detect.proposal import Process, Proposal, propose
from mika.procfile.entries import Entry


def proposed(config: Config, answers: Mapping[str, str] | None = None) -> Proposal:
    """What is found in the project, with the variables and ports that its processes will have."""
    given = {name: setting.raw for name, setting in config.settings.items() if setting.origin != "default"}
    variables = {**config.dotenv, **os.environ, **given}
    return propose(config.project, variables, (config.port("API_PORT"), config.port("TEMPORAL_PORT")), answers)


def in_words(proposal: Proposal) -> str:
    """What was found, as a clause; empty if that is nothing."""
    queues = {p.name: f", polls {', '.join(p.queues)}" if p.queues else "" for p in proposal.processes}
    return ", ".join(f"{p.name} (`{p.command}`{queues[p.name]})" for p in proposal.processes)


def procfile(proposal: Proposal) -> str:
    lines = ["# Found by `mika init`: what runs here, a line for each process."]
    for process in proposal.processes:
        lines += [f"# {why}" for why in process.why]
        lines.append(f"{process.name}: {process.command}")
    return "\n".join([*lines, ""])


def mika_toml(proposal: Proposal) -> str:
    lines = ["# Found by `mika init`. `mika config` shows what is in effect."]
    lines += [f"# {question.text}" for question in proposal.questions]
    lines += [f"# {note}" for note in proposal.notes]
    for name, guess in proposal.settings.items():
        value = guess.value if guess.value.isdecimal() else _quoted(guess.value)
        lines += [f"{BY_NAME[name].key} = {value}  # {guess.why}"]
    for process in proposal.processes:
        lines += ["", f"[process.{process.name}]", *_options(process)]
    return "\n".join([*lines, ""])


def entries(proposal: Proposal) -> list[Entry]:
    """The lines of its Procfile; without a file, their number is 0."""
    return [Entry(process.name, process.command, 0, index) for index, process in enumerate(proposal.processes)]


def configured(proposal: Proposal, config: Config) -> Config:
    """The configuration with what was found. What the user has set, for mika or for a process, wins."""
    settings = dict(config.settings)
    for name, guess in proposal.settings.items():
        if settings[name].origin == "default" or settings[name].value == "auto":
            settings[name] = make_setting(BY_NAME[name], guess.value, f"found ({guess.why})")
    processes = dict(config.processes)
    for process in proposal.processes:
        given, default = config.process(process.name), ProcessOptions()
        values = {option.name: getattr(given, option.name) for option in fields(given)}
        own = {name: value for name, value in values.items() if value != getattr(default, name)}
        processes[process.name] = replace(process.options(), **own)
    return replace(config, settings=MappingProxyType(settings), processes=MappingProxyType(processes))


def _options(process: Process) -> Iterator[str]:
    yield f"ready = {_quoted(process.ready)}{_why(process.ready)}"
    if process.cwd:
        yield f"cwd = {_quoted(process.cwd)}"
    if process.env:
        yield f"env = {{ {', '.join(f'{name} = {_quoted(value)}' for name, value in process.env.items())} }}"


def _why(ready: str) -> str:
    if ready.startswith("tcp:"):
        return "  # it has no health path that is known: ready when its port answers"
    return "  # it says nothing that mika could ask: ready as soon as it runs" if ready == "none" else ""


def _quoted(text: str) -> str:
    """JSON's escapes are TOML's, too."""
    return json.dumps(text, ensure_ascii=False)
