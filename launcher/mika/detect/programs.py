"""How a worker in another language is started: as the project documents it, else as its tool does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mika.detect import go_programs, identity, java_programs, node_makers, node_programs
from mika.detect.documented import Said
from mika.detect.environments import tooling
from mika.detect.go_programs import Way
from mika.detect.languages import GO, NODE, Maker, Texts, told_of, without_comments
from mika.detect.sources import Start
from mika.detect.workers import Worker
from mika.frozen import frozen
from mika.quoting import command_line
from mika.wording import Text, _


@frozen
class Found:
    """The workers; a note on each file that makes one which nothing is found to start; and what might start those."""

    workers: tuple[Worker, ...]
    notes: tuple[str, ...]
    examples: tuple[str, ...]


def find(texts: Texts, said: Sequence[Said]) -> Found:
    starts = {"node": node_programs.starts, "dotnet": _dotnet, "java": java_programs.starts}
    in_go = go_programs.Programs(texts, said)
    found: dict[Start, Worker] = {}
    notes: list[str] = []
    examples: list[str] = []
    every = (m for one in texts.makers() for m in (node_makers.of(texts, one) if one.language == NODE else [one]))
    for maker in every:
        if maker.language == GO:
            made = in_go.starts(maker)
            for way in made.ways:
                _add(found, texts, maker, way)
            notes += made.unclear if not made.ways else ()
            notes += [] if made.ways or made.unclear else [_unstarted(maker)]
            continue
        commands = list(starts[maker.language.name](texts, maker, said))
        tool = tooling(texts.files, maker.path).tool
        if maker.lacks and commands:
            notes.append(
                _(
                    "{path} imports {package}, which {manifest} does not have: {command}",
                    path=maker.path,
                    package=maker.lacks,
                    manifest=maker.manifest,
                    command=f"`{tool} {'install' if tool == 'npm' else 'add'} {maker.lacks}`",
                )
            )
        for path, command in commands:
            _add(found, texts, maker, Way(path, maker.home, command, maker.queues))
        if not commands:
            notes.append(_unstarted(maker))
            examples += [node_programs.example(texts, maker)] if maker.language == NODE else []
    return Found(tuple(found.values()), tuple(notes), tuple(examples))


def _add(found: dict[Start, Worker], texts: Texts, maker: Maker, way: Way) -> None:
    start = Start(way.home, way.command)
    same = found[start].queues if start in found else ()
    queues = tuple(dict.fromkeys((*same, *way.queues)))
    homes = way.homes or (way.home,)
    watch = tuple(dict.fromkeys(one for home in homes for one in texts.watched(maker.language, home)))
    tool = tooling(texts.files, maker.path).tool
    is_node = maker.language == NODE
    note = node_programs.needs_build(texts.text(maker.manifest), way.command, tool) if is_node else ""
    has_identity = identity.is_own(maker.path, without_comments(texts.text(maker.path)))
    found[start] = Worker(way.path, start, queues, watch=watch, note=note, label=way.label, has_identity=has_identity)


def _unstarted(maker: Maker) -> Text:
    if maker.language != NODE:
        return _("{path} makes a worker, but no program here and no documentation starts it", path=maker.path)
    return _(
        "{path} makes a worker, but no script of {manifest} and no documentation starts it",
        path=maker.path,
        manifest=maker.manifest,
    )


# --- .NET -------------------------------------------------------------------------------------------------------------


def _dotnet(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """`dotnet run` in the project's folder, with the arguments that a text there has for a worker."""
    source = texts.text(maker.manifest)
    if "<OutputType>Exe" not in source and not re.search(r'Sdk="Microsoft\.NET\.Sdk\.(Worker|Web)"', source):
        return
    told = [one for one in told_of(said, maker, "dotnet") if one.words[1] == "run" and "--project" not in one.words]
    words = next((one.words for one in told if "worker" in " ".join(one.words).lower()), ("dotnet", "run"))
    yield maker.path, command_line(words)
