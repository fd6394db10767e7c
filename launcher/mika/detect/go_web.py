"""The programs in Go that serve HTTP, and the command of theirs that does."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from mika.detect import listening
from mika.detect.files import ancestors
from mika.detect.go_code import GoCode
from mika.detect.go_commands import Commands, line
from mika.detect.languages import GO, GO_ALIAS, Texts
from mika.detect.listening import Port
from mika.detect.sources import Value
from mika.frozen import frozen
from mika.quoting import quoted

_KINDS = {
    "github.com/gin-gonic/gin": "Gin",
    "github.com/labstack/echo": "Echo",
    "github.com/gofiber/fiber": "Fiber",
    "github.com/go-chi/chi": "chi",
    "net/http": "net/http",
}
_SERVES = {"Gin": r"\.Run(TLS)?\(", "Echo": r"\.Start(TLS|AutoTLS)?\(", "Fiber": r"\.Listen(TLS)?\("}
_LISTENS = r"\.?ListenAndServe(TLS)?\("
_PACKAGE, _MAIN = (re.compile(text, re.MULTILINE) for text in (r"^package main\b", r"^func main\(\)"))
_RUNS = re.compile(r"\.\w*(?:Serve|Run|Start|Listen)\w*\(")
_IMPORTED = re.compile(r'^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?"([\w./-]+)"', re.MULTILINE)


@frozen
class Served:
    """`path` has the program, or its command `word`; `command` runs it in the folder `home`."""

    kind: str
    path: str
    command: str
    home: str
    port: Port | None
    homes: tuple[str, ...]
    """The folders of all modules that it is made of."""
    word: str = ""


def find(texts: Texts, started: Sequence[str]) -> Iterator[Served]:
    """Those with a server in a package of their own or in one that they import. Of a program that makes a worker (those
    of `started` do), only what a command serves without that.
    """
    workers = {posixpath.dirname(path) for path in started if path.endswith(".go")}
    code = GoCode(texts)
    for manifest in () if texts.files.is_late() else texts.files.named(r"go\.mod"):
        home, packages = posixpath.dirname(manifest), _packages(texts, posixpath.dirname(manifest))
        module = re.search(r"^module\s+(\S+)", texts.text(manifest), re.MULTILINE)
        for folder, sources in packages.items():
            main = next((path for path in sources if _is_program(texts.text(path))), None)
            if main is None or texts.files.is_late():
                continue
            own = [path for path in sources if _PACKAGE.search(texts.text(path))]
            near = [*own, *_imported(texts, own, module[1] if module else "", home, packages)]
            relative = posixpath.relpath(folder or ".", home or ".")
            command = "go run ." if relative == "." else f"go run {quoted(f'./{relative}')}"
            commands = list(_of_commands(texts, code, main, command, home))
            if commands or folder in workers:
                yield from commands
                continue
            if not any(_RUNS.search(texts.text(path)) for path in own):
                continue  # it may import a server for something else
            kind = next(filter(None, (_kind(texts.text(path)) for path in near)), None)
            makes = any("worker.New(" in texts.text(path) for path in near)
            if kind is not None and not (makes and code.leads_to(main, "worker.New(")):
                yield Served(kind, main, command, home, _port(texts, near), tuple(code.homes(main)))


def _imported(
    texts: Texts, own: Iterable[str], module: str, home: str, packages: dict[str, list[str]]
) -> Iterator[str]:
    """The sources of the packages of the same module that a program imports itself."""
    names = {name for path in own for name in _IMPORTED.findall(texts.text(path))}
    below = (name[len(module) + 1 :] for name in names if f"{name}/".startswith(f"{module}/"))
    inner = {posixpath.join(home, folder).rstrip("/") for folder in below}
    return (path for other in sorted(inner) for path in packages.get(other, ()))


def _of_commands(texts: Texts, code: GoCode, main: str, command: str, home: str) -> Iterator[Served]:
    """The commands of a program that serve, and make no worker; none, if it does so without a command."""
    folders = code.closure(posixpath.dirname(main))
    if not any(_kind(texts.text(path)) for folder in folders for path in code.files_of(folder)):
        return
    commands = Commands(texts, code, main)
    begin = [(commands.without(part), part.path) for part in code.main_of(main)]
    always = [*begin, *((commands.without(p), p.path) for p in code.reached(main, begin, commands.without))]
    if any(_makes(texts, *one) or _serves(texts, *one) for one in always):
        return
    for option in commands.options:
        if not option.args or not option.is_sure:
            continue
        reached = code.reached(main, [(option.text, option.part.path)])
        run = [(option.text, option.part.path), *((part.text, part.path) for part in reached)]
        kind = next(filter(None, (_serves(texts, *one) for one in run)), None)
        if kind is not None and not any(_makes(texts, *one) for one in run):
            serving = dict.fromkeys(path for text, path in run if _serves(texts, text, path))
            word = re.sub(r"^-*(\w+=)?", "", option.args[-1])
            yield Served(
                kind,
                option.part.path,
                line(command, option.args),
                home,
                _port(texts, serving),
                tuple(code.homes(main)),
                word,
            )


def _makes(texts: Texts, text: str, path: str) -> bool:
    alias = GO_ALIAS.search(texts.text(path))
    return f"{alias[1] if alias else 'worker'}.New(" in text


def _serves(texts: Texts, text: str, path: str) -> str | None:
    """The framework with which a declaration of a file serves."""
    kind = _kind(texts.text(path))
    has = kind and (re.search(_SERVES.get(kind, _LISTENS), text) or re.search(_LISTENS, text))
    return kind if has else None


def _port(texts: Texts, paths: Iterable[str]) -> Port | None:
    def value(path: str, expression: str) -> Value:
        return texts.value(expression, path, ())

    return listening.in_go(((path, texts.text(path)) for path in paths), value)


def _packages(texts: Texts, home: str) -> dict[str, list[str]]:
    """The sources of one module by their folder; a folder with a go.mod of its own is another module."""
    found: dict[str, list[str]] = {}
    for path in texts.of(GO, home):
        if next(folder for folder in ancestors(path) if posixpath.join(folder, "go.mod") in texts.files) == home:
            found.setdefault(posixpath.dirname(path), []).append(path)
    return found


def _is_program(text: str) -> bool:
    return _PACKAGE.search(text) is not None and _MAIN.search(text) is not None


def _kind(text: str) -> str | None:
    """The framework of a file that serves with it. With pprof alone it serves nothing of its own."""
    imported = _IMPORTED.findall(text)
    if "net/http/pprof" in imported and "Handle" not in text:
        imported = [name for name in imported if name != "net/http"]
    for package, kind in _KINDS.items():
        has = any(name == package or name.startswith(f"{package}/v") for name in imported)
        if has and (re.search(_SERVES.get(kind, _LISTENS), text) or re.search(_LISTENS, text)):
            return kind
    return None
