"""How a worker in another language is started: as the project documents it, else as its tool does."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from mika.detect import java_programs, node_programs
from mika.detect.documented import Said
from mika.detect.environments import tooling
from mika.detect.languages import NODE, Maker, Texts, told_of
from mika.detect.sources import Start
from mika.detect.workers import Worker
from mika.frozen import frozen
from mika.quoting import command_line, quoted
from mika.wording import Text, _

_PACKAGE_GO, _MAIN_GO = (re.compile(text, re.MULTILINE) for text in (r"^package main\b", r"^func main\(\)"))


@frozen
class Found:
    """The workers; a note on each file that makes one which nothing is found to start; and what might start those."""

    workers: tuple[Worker, ...]
    notes: tuple[str, ...]
    examples: tuple[str, ...]


def find(texts: Texts, said: Sequence[Said]) -> Found:
    starts = {"go": _go, "node": node_programs.starts, "dotnet": _dotnet, "java": java_programs.starts}
    found: dict[Start, Worker] = {}
    notes: list[str] = []
    examples: list[str] = []
    for maker in texts.makers():
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
            start = Start(maker.home, command)
            same = found[start].queues if start in found else ()
            queues = tuple(dict.fromkeys((*same, *maker.queues)))
            watch = texts.watched(maker.language, maker.home)
            is_node = maker.language == NODE
            note = node_programs.needs_build(texts.text(maker.manifest), command, tool) if is_node else ""
            found[start] = Worker(path, start, queues, watch=watch, note=note)
        if not commands:
            notes.append(_unstarted(maker))
            examples += [node_programs.example(texts, maker)] if maker.language == NODE else []
    return Found(tuple(found.values()), tuple(notes), tuple(examples))


def _unstarted(maker: Maker) -> Text:
    if maker.language != NODE:
        return _("{path} makes a worker, but no program here and no documentation starts it", path=maker.path)
    return _(
        "{path} makes a worker, but no script of {manifest} and no documentation starts it",
        path=maker.path,
        manifest=maker.manifest,
    )


# --- Go ---------------------------------------------------------------------------------------------------------------


def _go(texts: Texts, maker: Maker, _said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """Its own package if that is a program, else each program that imports it."""
    sources = texts.of(maker.language, maker.home)
    programs = [p for p in sources if _PACKAGE_GO.search(texts.text(p)) and _MAIN_GO.search(texts.text(p))]
    folder = posixpath.dirname(maker.path)
    own = [path for path in programs if posixpath.dirname(path) == folder]
    module = re.search(r"^module\s+(\S+)", texts.text(maker.manifest), re.MULTILINE)
    package = posixpath.normpath(
        posixpath.join(module[1] if module else "", posixpath.relpath(folder or ".", maker.home or "."))
    )
    for path in own or [path for path in programs if f'"{package}"' in texts.text(path)]:
        relative = posixpath.relpath(posixpath.dirname(path) or ".", maker.home or ".")
        yield path, "go run ." if relative == "." else f"go run {quoted(f'./{relative}')}"


# --- .NET -------------------------------------------------------------------------------------------------------------


def _dotnet(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """`dotnet run` in the project's folder, with the arguments that a text there has for a worker."""
    source = texts.text(maker.manifest)
    if "<OutputType>Exe" not in source and not re.search(r'Sdk="Microsoft\.NET\.Sdk\.(Worker|Web)"', source):
        return
    told = [one for one in told_of(said, maker, "dotnet") if one.words[1] == "run" and "--project" not in one.words]
    words = next((one.words for one in told if "worker" in " ".join(one.words).lower()), ("dotnet", "run"))
    yield maker.path, command_line(words)
