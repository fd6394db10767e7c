"""How a worker in Go, TypeScript, .NET or Java is started: as the project documents it, else as its tool does."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from mika.detect import java_programs, package_json
from mika.detect.documented import Said
from mika.detect.environments import tooling
from mika.detect.languages import Maker, Texts, told_of
from mika.detect.sources import Start
from mika.detect.workers import Worker
from mika.wording import _

_NAME = re.compile(r"[\w:.@/-]+")
_WATCHES = re.compile(r"nodemon|--watch|\bwatch\b|ts-node-dev")
_BUILT = re.compile(r"(^|[\s/])(dist|lib|build|out)/")
_WORD = re.compile(r"[\w./@-]+")
_SUFFIX = re.compile(r"\.[cm]?[jt]s$")
_OTHER_SCRIPT = re.compile(r"\b(npm|pnpm|yarn|bun) (run )?(-\S+ )*[\w:.-]+|\bnpm:[\w:.-]+")
_RUNNERS = ("tsx", "ts-node")
_PACKAGE_GO, _MAIN_GO = (re.compile(text, re.MULTILINE) for text in (r"^package main\b", r"^func main\(\)"))


def find(texts: Texts, said: Sequence[Said]) -> tuple[list[Worker], list[str]]:
    """The workers, and a note on each file that makes one which nothing is found to start."""
    starts = {"go": _go, "node": _node, "dotnet": _dotnet, "java": java_programs.starts}
    found: dict[Start, Worker] = {}
    notes: list[str] = []
    for maker in texts.makers():
        commands = list(starts[maker.language.name](texts, maker, said))
        if maker.lacks and commands:
            tool = tooling(texts.files, maker.path).tool
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
            suffixes = {posixpath.splitext(source)[1] for source in texts.of(maker.language, maker.home)}
            watch = tuple(posixpath.join(maker.home, f"**/*{suffix}") for suffix in sorted(suffixes))
            note = _build(texts.text(maker.manifest), command) if maker.language.name == "node" else ""
            found[start] = Worker(path, start, queues, watch=watch, note=note)
        if not commands:
            notes.append(
                _(
                    "{path} makes a worker, but no script of {manifest} and no documentation starts it",
                    path=maker.path,
                    manifest=maker.manifest,
                )
                if maker.language.name == "node"
                else _("{path} makes a worker, but no program here and no documentation starts it", path=maker.path)
            )
    return list(found.values()), notes


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
        yield path, "go run ." if relative == "." else f"go run {shlex.quote(f'./{relative}')}"


# --- Node -------------------------------------------------------------------------------------------------------------


def _node(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """The script that starts the file, or one that imports it; else the command that a text has, or Node itself."""
    scripts = _scripts(texts.text(maker.manifest))
    tool = tooling(texts.files, maker.path).tool
    importers = _importers(texts, maker)
    for path in (maker.path, *importers):
        rank = {name: how for name, command in scripts.items() if (how := _starts(command, path, texts, maker))}
        if rank:
            best = min(rank, key=lambda name: (rank[name], _watches(name, scripts[name]), len(name)))
            yield path, f"{tool} run {best}"
            return
        told = next((one for one in said if one.words[0] in ("npx", "node") and one.means(path)), None)
        if told is not None:
            yield path, shlex.join(told.words)
            return
    packages = package_json.dependencies(texts.text(maker.manifest))
    is_typed = maker.path.endswith((".ts", ".mts", ".cts"))
    runner = next((f"npx {one}" for one in _RUNNERS if one in packages), "") if is_typed else "node"
    if runner and not importers:
        yield maker.path, f"{runner} {shlex.quote(posixpath.relpath(maker.path, maker.home or '.'))}"


def _starts(command: str, path: str, texts: Texts, maker: Maker) -> int:
    """1 if a script's command has the path of the file, or of what it is built to; 2 for its mere name; else 0."""
    sources = texts.of(maker.language, maker.home)
    known = {name: source for source in sources for name in _spelled(source, maker.home)}
    names = {posixpath.basename(name) for name in _spelled(path, maker.home)} - {"index"}
    how = 0
    for word in _WORD.findall(_OTHER_SCRIPT.sub("", command)):
        spelled = _SUFFIX.sub("", word.removeprefix("./"))
        built = _BUILT.sub("", spelled, count=1)
        found = next((known[name] for name in (spelled, built, f"src/{built}") if name in known), None)
        if found == path and ("/" in word or word != spelled):
            return 1
        if found in (path, None) and posixpath.basename(spelled.removesuffix("/index")) in names:
            how = 2
    return how


def _spelled(path: str, home: str) -> Iterator[str]:
    """How a file is named from its part of the project."""
    name = _SUFFIX.sub("", posixpath.relpath(path, home or "."))
    yield from {name, name.removesuffix("/index")}


def _watches(name: str, command: str) -> bool:
    return _WATCHES.search(f"{name} {command}") is not None


def _build(package: str, command: str) -> str:
    """What to know of a script that runs what another one makes."""
    scripts, (tool, _run, name) = _scripts(package), (*command.split(), "", "")[:3]
    is_built = "build" in scripts and _BUILT.search(scripts.get(name, "")) is not None
    return _("it runs what `{tool} run build` makes", tool=tool) if is_built else ""


def _importers(texts: Texts, maker: Maker) -> list[str]:
    name = re.escape(posixpath.basename(maker.path).partition(".")[0])
    imports = re.compile(rf"""(from|require\(|import\()\s*["'][./][\w./-]*\b{name}(\.[cm]?[jt]s)?["']""")
    return [path for path in texts.of(maker.language, maker.home) if imports.search(texts.text(path))]


def _scripts(package: str) -> Mapping[str, str]:
    """Those whose name needs no quotes."""
    return {name: command for name, command in package_json.scripts(package).items() if _NAME.fullmatch(name)}


# --- .NET --------------------------------------------------------------------------------------------------------------


def _dotnet(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """`dotnet run` in the project's folder, with the arguments that a text there has for a worker."""
    source = texts.text(maker.manifest)
    if "<OutputType>Exe" not in source and not re.search(r'Sdk="Microsoft\.NET\.Sdk\.(Worker|Web)"', source):
        return
    told = [one for one in told_of(said, maker, "dotnet") if one.words[1] == "run" and "--project" not in one.words]
    words = next((one.words for one in told if "worker" in " ".join(one.words).lower()), ("dotnet", "run"))
    yield maker.path, shlex.join(words)
