"""How a file in TypeScript or JavaScript is started: by a script of its package.json, as documented, else directly."""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mika.detect import nest, nx, package_json
from mika.detect.documented import Said
from mika.detect.environments import tooling
from mika.detect.languages import NODE, Maker, Texts
from mika.quoting import command_line, quoted
from mika.wording import _

_NAME = re.compile(r"[\w:.@/-]+")
_WATCHES = re.compile(r"nodemon|--watch|\bwatch\b|\b(ts-)?node-dev\b|\btsnd\b|--hot\b")
_BUILT = re.compile(r"(^|[\s/])(dist|lib|build|out)/")
_OUTPUTS = {"dist", "lib", "build", "out", "src", ".", "..", ""}
_BUILDS = re.compile(r"(run |[:-])build\b|(^|\s)tsc\b")
_PART_BUILD, _COMPILES = re.compile(r"build[:.-]"), re.compile(r"\b(tsc|swc|esbuild|tsup|babel)\b")
_STARTS = re.compile(
    r"([A-Za-z_]\w*=\S*\s+|(cross-env|dotenv|npx|exec|env)\s+(-\S+\s+)*)*"
    r"(node|tsx|ts-node|nest|fastify|bun|esno|vite-node|npm|pnpm|yarn)\s(?!run (build|test|lint))"
)
_WORD = re.compile(r"[\w./@-]+")
_SUFFIX = re.compile(r"\.[cm]?[jt]s$")
_OTHER_SCRIPT = re.compile(
    r"\b(npm|pnpm|yarn|bun) (run )?(-\S+ )*(?![\w:.-]*(?:/|\.[cm]?[jt]sx?\b))[\w:.-]+|\bnpm:[\w:.-]+"
)
"""Not a file: `bun` runs those, too."""
_IMPORTS = re.compile(r"""(?:\bfrom|\bimport|\brequire\(|\bimport\()\s*["']([\w./@~-]+)["']""")
_ALIAS = re.compile(r"^[@~]?/")
"""What often stands for the folder of the sources."""
_NEST_PART = re.compile(r"^@(Injectable|Module|Controller)\(", re.MULTILINE)
"""A class that NestJS makes: its file does nothing by itself."""
_TYPED = (".ts", ".mts", ".cts")
_RUNNERS = {
    "tsx": "npx tsx",
    "ts-node": "npx ts-node",
    "@swc-node/register": "node -r @swc-node/register",
    "esbuild-register": "node -r esbuild-register",
    "vite-node": "npx vite-node",
    "esno": "npx esno",
}
"""What runs TypeScript as it is, by its package."""
_BRINGS = {"ts-node-dev": "ts-node"}
"""Packages that depend on a runner: npm puts its program where `npx` finds it, the other tools do not."""
_PLAINLY = re.compile(
    r"(?:npx )?(tsx|vite-node|esno) (?:watch|--watch)(?: --(?:clear-screen|no-warnings)\S*)* [\w./@-]+"
)
"""A script that watches a program, and gives it nothing else."""
_USUAL = "npx tsx"
"""It needs nothing of the project."""


def starts(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """The script that starts the file, or one that imports it; else the command that a text has, or Node itself."""
    scripts = usable_scripts(texts.text(maker.manifest))
    tool = tooling(texts.files, maker.path).tool
    importers, known = _importers(texts, maker), known_as(texts, maker.home)
    for path in (maker.path, *importers):
        rank = {name: how for name, command in scripts.items() if (how := _starts(texts, maker, command, path, known))}
        if rank:
            best = min(rank, key=lambda name: (rank[name], watches(name, scripts[name]), len(name)))
            yield path, _as_it_is(texts, maker, path, best, rank) or f"{tool} run {best}"
            return
        told = next((one for one in said if one.words[0] in ("npx", "node") and one.means(path)), None)
        if told is not None:
            yield path, command_line(told.words)
            return
    for path in (maker.path, *importers):
        if command := nest.command(texts.files, maker.home, path, known) or nx.command(texts.files, path):
            yield path, command
            return
    runs_it = runner(texts, maker.path, texts.text(maker.manifest))
    if runs_it and not importers and not _NEST_PART.search(texts.text(maker.path)):
        yield maker.path, f"{runs_it} {quoted(posixpath.relpath(maker.path, maker.home or '.'))}"
        return
    home = posixpath.join(maker.home, "")
    for path in (maker.path, *importers):
        for one in said:
            if one.words[0] == "node" and one.where.startswith(home) and path in _built(one, known):
                yield path, command_line(one.words)
                return


def _as_it_is(texts: Texts, maker: Maker, path: str, best: str, others: Iterable[str]) -> str:
    """What runs the file `path` without a build before, if another script shows that it can: one that watches it."""
    manifest = texts.text(maker.manifest)
    scripts, tool = usable_scripts(manifest), tooling(texts.files, path).tool
    if not needs_build(manifest, f"{tool} run {best}", tool):
        return ""
    watching = (_PLAINLY.fullmatch(scripts[name]) for name in others)
    how = next((_RUNNERS[found[1]] for found in watching if found), "")
    return f"{how} {quoted(posixpath.relpath(path, maker.home or '.'))}" if how else ""


def example(texts: Texts, maker: Maker) -> str:
    """A command that would run a file which nothing starts, in the folder of the project."""
    path, own = next(iter(_importers(texts, maker)), maker.path), runner(texts, maker.path, texts.text(maker.manifest))
    return f"{own if own == 'node' or (own and not maker.home) else _USUAL} {quoted(path)}"


def program(command: str, known: Mapping[str, str]) -> str | None:
    """The source that a script starts, if its command names that or what is built of it."""
    words = _WORD.findall(_OTHER_SCRIPT.sub("", command))
    named = {_source(word, known) for word in words if "/" in word or _SUFFIX.search(word)} - {None}
    return named.pop() if len(named) == 1 else None


def watches(name: str, command: str) -> bool:
    """Whether a script starts its program behind a watcher, which hides a crash."""
    return _WATCHES.search(f"{name} {command}") is not None


def runs(command: str) -> bool:
    """Whether a script starts a program, and does not test, check or build it."""
    return _STARTS.match(command) is not None


def needs_build(manifest: str, command: str, tool: str) -> str:
    """What to know of a command that runs what a script makes; empty if it makes that itself."""
    scripts, (_tool, run, name) = package_json.scripts(manifest), (*command.split(), "", "", "")[:3]
    runs = scripts.get(name, "") if run == "run" else command
    makes = _BUILDS.search(f"{scripts.get(f'pre{name}', '')} {runs}") is not None
    builds = [other for other in scripts if other == "build"] or [
        other
        for other, command in scripts.items()
        if _PART_BUILD.match(other) and _COMPILES.search(command) and not watches(other, command)
    ]
    if len(builds) != 1 or makes or _BUILT.search(runs) is None:
        return ""
    return _("it runs what `{command}` makes", command=f"{tool} run {builds[0]}")


def usable_scripts(manifest: str) -> Mapping[str, str]:
    """Those whose name needs no quotes."""
    return {name: command for name, command in package_json.scripts(manifest).items() if _NAME.fullmatch(name)}


def runner(texts: Texts, path: str, manifest: str) -> str:
    """What runs the file `path` as it is; empty if its project (the text of its package.json) has nothing for it."""
    if not path.endswith(_TYPED):
        return "node"
    packages, words = package_json.dependencies(manifest), " ".join(package_json.scripts(manifest).values()).split()
    has_npm = tooling(texts.files, path).tool == "npm"
    brought = {_BRINGS[name] for name in packages & _BRINGS.keys() if has_npm}
    return next((how for name, how in _RUNNERS.items() if name in packages | brought or name in words), "")


def _starts(texts: Texts, maker: Maker, command: str, path: str, known: Mapping[str, str]) -> int:
    """1 if a script's command has the path of the file, or of what it is built to; 2 for its mere name; else 0."""
    names = {posixpath.basename(name) for name in _spelled(path, maker.home)} - {"index"}
    if nest.started(texts.files, maker.home, command, known) == path:
        return 1
    how = 0
    for word in _WORD.findall(_OTHER_SCRIPT.sub("", command)):
        found = _source(word, known)
        spelled = _SUFFIX.sub("", word.removeprefix("./"))
        if found == path and ("/" in word or word != spelled):
            return 1
        if found in (path, None) and posixpath.basename(spelled.removesuffix("/index")) in names:
            how = how or 2 * (_nearest(spelled, known) == path)
    return how


def _nearest(spelled: str, known: Mapping[str, str]) -> str | None:
    """The file that a word means whose folder is not here: all other folders that the word has are those of the file.

    Of several files, the one nearest to the top.
    """
    folders, base = posixpath.split(spelled.removesuffix("/index"))
    own = [folder for folder in folders.split("/") if folder not in _OUTPUTS]
    found: dict[str, list[str]] = {}
    for name, path in known.items():
        if posixpath.basename(name) == base:
            found[path] = [folder for folder in path.split("/")[:-1] if folder != "src"]
    fitting = [path for path, theirs in found.items() if _are_in(own, theirs) or _are_in(own[1:], theirs)]
    fitting.sort(key=lambda path: len(found[path]))
    is_one = len(fitting) == 1 or (len(fitting) > 1 and len(found[fitting[0]]) < len(found[fitting[1]]))
    return fitting[0] if is_one else None


def _are_in(folders: Sequence[str], others: Sequence[str]) -> bool:
    """Whether all of these are among the others, in this order."""
    rest = iter(others)
    return all(folder in rest for folder in folders)


def _built(said: Said, known: Mapping[str, str]) -> set[str | None]:
    """The sources of what a documented command runs."""
    return {_source(word, known) for word in said.words[1:] if _BUILT.search(word) and _SUFFIX.search(word)}


def _source(word: str, known: Mapping[str, str]) -> str | None:
    """The file that a word of a command names, or the one that it is built of."""
    spelled = _SUFFIX.sub("", word.removeprefix("./"))
    built, beside = _BUILT.sub(r"\1", spelled, count=1), _BUILT.sub(r"\1src/", spelled, count=1)
    return next((known[name] for name in (spelled, built, f"src/{built}", beside) if name in known), None)


def known_as(texts: Texts, home: str) -> Mapping[str, str]:
    """The files of a part by how they are named there."""
    return {name: source for source in texts.of(NODE, home) for name in _spelled(source, home)}


def _spelled(path: str, home: str) -> Iterator[str]:
    """How a file is named from its part of the project."""
    name = _SUFFIX.sub("", path.removeprefix(posixpath.join(home, "")))
    yield from {name, name.removesuffix("/index")}


def _importers(texts: Texts, maker: Maker) -> list[str]:
    """The files that import the maker, then those that import these, and so on."""
    found, waiting = [maker.path], deque([maker.path])
    imports = {path: set(_imported(texts.text(path), path, maker.home)) for path in texts.of(NODE, maker.home)}
    while waiting and not texts.files.is_late():
        names = set(_spelled(waiting.popleft(), ""))
        new = [path for path, imported in imports.items() if path not in found and names & imported]
        found += new
        waiting += new
    return found[1:]


def _imported(text: str, path: str, home: str) -> Iterator[str]:
    """The files that a file imports, without their suffix; without a dot, from the part's folder or its `src`."""
    for name in (_SUFFIX.sub("", found) for found in _IMPORTS.findall(text)):
        if name.startswith("."):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        else:
            inner = _ALIAS.sub("", name)
            yield from (posixpath.normpath(posixpath.join(home, folder, inner)) for folder in ("", "src"))
