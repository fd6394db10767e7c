"""A proposal put to use: as the two files that `mika init` writes, and in memory as if they had been read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType

from mika.config.load import Config
from mika.config.process_options import ProcessOptions, rules_of
from mika.config.settings import BY_NAME, make_setting
from mika.detect.documented import OURS
from mika.detect.findings import UNKNOWN_QUEUE, Process, Proposal
from mika.detect.proposal import propose
from mika.procfile.entries import Entry
from mika.wording import Text, _, joined, listed


def proposed(config: Config, answers: Mapping[str, str] | None = None) -> Proposal:
    """What is found in the project, with the variables and ports that its processes will have."""
    given = {name: setting.raw for name, setting in config.settings.items() if setting.origin != "default"}
    variables = {**config.dotenv, **os.environ, **given}
    return propose(config.project, variables, (config.port("API_PORT"), config.port("TEMPORAL_PORT")), answers)


def queues_in_code(config: Config) -> frozenset[str]:
    """The task queues that the code of the project names, as far as it can be read. Blocks for seconds."""
    return frozenset(queue for process in proposed(config).processes for queue in process.queues) - {UNKNOWN_QUEUE}


def in_words(proposal: Proposal) -> str:
    """What was found, as a clause; empty if that is nothing."""
    return listed(
        (
            _("{name} (`{command}`, with a task queue that is not known)", name=p.name, command=p.command)
            if UNKNOWN_QUEUE in p.queues
            else _("{name} (`{command}`, polls {queues})", name=p.name, command=p.command, queues=listed(p.queues))
            if p.queues
            else _("{name} (`{command}`)", name=p.name, command=p.command)
            for p in proposal.processes
        ),
    )


def next_step(proposal: Proposal) -> Text:
    """What runs it, in words."""
    if not proposal.questions:
        return _("`mika up` starts that, and `mika init` writes it to a Procfile")
    questions = joined(" ", (question.text for question in proposal.questions))
    return _("`mika up` asks first, on a terminal: {questions}", questions=questions)


def procfile(proposal: Proposal) -> str:
    lines = [f"{OURS}: what runs here, a line for each process."]
    for process in proposal.processes:
        lines += [_comment(why) for why in process.why]
        lines.append(f"{process.name}: {process.with_setting(process.command)}")
    return "\n".join([*lines, ""])


def mika_toml(proposal: Proposal) -> str:
    lines = [f"{OURS}. `mika config` shows what is in effect."]
    lines += [_comment(text) for text in (*(question.text for question in proposal.questions), *proposal.notes)]
    for name, guess in proposal.settings.items():
        value = guess.value if guess.value.isdecimal() else _quoted(guess.value)
        lines += [f"{BY_NAME[name].key} = {value}  {_comment(guess.why)}"]
    for process in proposal.processes:
        lines += ["", f"[process.{process.name}]", *_options(process)]
    return "\n".join([*lines, ""])


def entries(proposal: Proposal) -> list[Entry]:
    """The lines of its Procfile; without a file, their number is 0."""
    return [
        Entry(process.name, process.with_setting(process.command), 0, index)
        for index, process in enumerate(proposal.processes)
    ]


def configured(proposal: Proposal, config: Config) -> Config:
    """The configuration with what was found. What the user has set, for mika or for a process, wins."""
    settings = dict(config.settings)
    for name, guess in proposal.settings.items():
        if settings[name].origin == "default" or settings[name].value == "auto":
            settings[name] = make_setting(BY_NAME[name], guess.value, _("found ({why})", why=guess.why))
    processes = dict(config.processes)
    for process in proposal.processes:
        given, default = config.process(process.name), ProcessOptions()
        values = {option.name: getattr(given, option.name) for option in fields(given)}
        own = {name: value for name, value in values.items() if value != getattr(default, name)}
        processes[process.name] = replace(process.options(), **own)
    return replace(config, settings=MappingProxyType(settings), processes=MappingProxyType(processes))


def _options(process: Process) -> Iterator[str]:
    if process.restart == "always":
        rules = rules_of(process.ready)
        ready = _quoted(rules if len(rules) > 1 else process.with_setting(process.ready))
        yield f"ready = {ready}{_why(process.ready)}"
    else:
        yield f"restart = {_quoted(process.restart)}"
    if process.needs:
        yield f"needs = {_quoted(process.needs)}"
    if process.watch:
        yield f"watch = {_quoted(process.watch)}"
    if process.cwd:
        yield f"cwd = {_quoted(process.cwd)}"
    if process.env:
        env = process.options().env
        yield f"env = {{ {', '.join(f'{name} = {_quoted(value)}' for name, value in env.items())} }}"


def _why(ready: str) -> str:
    if ready.startswith("tcp:"):
        return "  # it has no health path that is known: ready when its port answers"
    return "  # it says nothing that mika could ask: ready as soon as it runs" if ready == "none" else ""


def _comment(text: str) -> str:
    """In one line, whatever names and texts of the project it has."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return f"# {' '.join(printable.split())}"


def _quoted(value: str | Sequence[str]) -> str:
    """A text or a list of texts. JSON's escapes are TOML's, too."""
    return json.dumps(value, ensure_ascii=False)
