"""The arguments that a worker's program needs: a command of argparse, or what the project documents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mika.detect.documented import Said
from mika.detect.fields import literal
from mika.detect.modules import LARGEST_SOURCE, Module
from mika.detect.sources import Sources
from mika.detect.variants import WORKER
from mika.detect.workers import Worker
from mika.quoting import command_line
from mika.wording import Text, _, listed

_TAKES = re.compile(r"\bsys\.argv\b|\bargparse\b|\bfire\.Fire\b|\bdocopt\b")
_WORD = re.compile(r"-{0,2}\w[\w.:/@=,-]*")
"""What is an argument as it stands, and no place for one."""
_PLACE = re.compile(r"(?:.*/)?[\w-]*(?:worker|consumer|runner)[\w-]*(?:/(?:main|__main__|run|cli|app))?\.py")
_MOST = 8


def given(workers: Sequence[Worker], said: Sequence[Said], sources: Sources) -> list[Worker]:
    """The workers; one whose program needs arguments, once for each that is known to start a worker."""
    return [one for worker in workers for one in _with_arguments(worker, said, sources)]


def without(own: Sequence[Worker], every: Sequence[Worker]) -> list[Worker]:
    """Of `every` worker, those that are not told what to be: of their `own`, none begins with a command."""
    told = {one.path for one in own if one.start and _is_told(one.start.command)}
    return [worker for worker in every if worker.path not in told]


def _is_told(command: str) -> bool:
    """Whether a word follows the program in `python -m app.cli worker`."""
    words = command.split()
    after = words[3:] if words[1:2] == ["-m"] else words[2:]
    return words[:1] == ["python"] and bool(after) and not after[0].startswith("-")


def _with_arguments(worker: Worker, said: Sequence[Said], sources: Sources) -> Iterator[Worker]:
    module = sources.module(worker.path) if worker.path.endswith(".py") else None
    # With click and typer, the command is known, as are the arguments of a service of the compose file.
    if module is None or worker.start is None or module.commands or worker.start != sources.start_of(module):
        yield worker
        return
    runs = _runs(module, said, sources)
    if not runs:
        yield worker
    for name, (arguments, where) in runs.items():
        start = replace(worker.start, command=f"{worker.start.command} {command_line(arguments)}")
        note = _("{file} starts it with `{arguments}`", file=where, arguments=" ".join(arguments)) if where else ""
        queues = worker.chosen(arguments)
        if len(runs) == 1:
            yield replace(worker, start=start, note=note, queues=queues)
            continue
        if len(worker.known) > 1:
            note = _which(worker, note)
            queues = ()
        yield replace(worker, start=start, note=note, queues=queues, label=name)


def _which(worker: Worker, note: str) -> Text:
    return _("{context}: which of {queues} it polls is not known", context=note, queues=listed(worker.known))


def _runs(module: Module, said: Sequence[Said], sources: Sources) -> dict[str, tuple[tuple[str, ...], str]]:
    """What a program is called as a worker, with the arguments, and the file that documents them."""
    text = sources.files.text(module.path, LARGEST_SOURCE)
    if not _TAKES.search(text):
        return {}
    documented: dict[str, tuple[tuple[str, ...], str]] = {}
    scripts = {start.command for start in sources.scripts_of(module).values()}
    for one in said:
        program, *arguments = one.words
        is_it = replace(one, words=(program,)).means(module.path) or program in scripts
        if not is_it or not arguments or one.is_in_container:
            continue
        if (value := _required(arguments, module)) or (
            _are_plain(arguments) and _is_known(arguments[0], module, sources)
        ):
            documented.setdefault(value or arguments[0], (tuple(arguments), one.where))
    if names := _subcommands(module):
        named = [name for name in names if WORKER.fullmatch(name)]
        return {name: documented.get(name, ((name,), "")) for name in named} if len(named) == 1 else {}
    if named := [name for name in documented if WORKER.fullmatch(name)]:
        return {named[0]: documented[named[0]]}
    return dict(itertools.islice(documented.items(), _MOST)) if _PLACE.fullmatch(module.path) else {}


def _required(arguments: Sequence[str], module: Module) -> str:
    """The value of an option that the program cannot be started without; empty if there is none."""
    options = [call for called, calls in module.passing.items() if called.endswith(".add_argument") for call in calls]
    needed = [call for call in options if getattr(module.keyword(call, "required"), "value", False)]
    names = {literal(name) for call in needed for name in call.args}
    pairs = [(*word.split("=", 1), following) for word, following in zip(arguments, (*arguments[1:], ""), strict=False)]
    found = next((value[0] for name, *value in pairs if name in names), "")
    return found if found and all(map(_WORD.fullmatch, arguments)) else ""


def _are_plain(arguments: Sequence[str]) -> bool:
    """One word, and perhaps options: a sentence may go on behind a command."""
    first, *others = arguments
    return (
        not first.startswith("-")
        and all(map(_WORD.fullmatch, arguments))
        and not (others and not others[0].startswith("-"))
    )


def _is_known(word: str, module: Module, sources: Sources) -> bool:
    """Whether the program has that word, as a text or as the name of a function."""
    spelled = re.compile(rf"""["']{re.escape(word)}["']|\bdef {re.escape(word.replace("-", "_"))}\(""")
    return any(spelled.search(sources.files.text(part.path, LARGEST_SOURCE)) for part in sources.reachable(module))


def _subcommands(module: Module) -> list[str]:
    """Those of argparse."""
    calls = (call for called, calls in module.passing.items() if called.endswith(".add_parser") for call in calls)
    return list(dict.fromkeys(name for call in calls if call.args and (name := literal(call.args[0]))))
