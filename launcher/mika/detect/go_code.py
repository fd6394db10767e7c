"""The Go sources of a project, read as text: what is declared in a package, and what a function of it leads to."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mika.detect.files import ancestors
from mika.detect.languages import GO, Texts, without_comments

_TOP = re.compile(r"^(?=(?:func|type|var|const|import|package)\b)", re.MULTILINE)
_FUNCTION = re.compile(r"func\s+(?:\(\s*(?:\w+\s+)?\*?(\w+)[^()]{0,100}\)\s*)?(\w+)(?:\[[^\]]{0,200}\])?\(")
_VARIABLE = re.compile(r"^(?:var\s+|\t)(\w+)\b[^=\n]{0,100}=", re.MULTILINE)
_TYPE = re.compile(r"type\s+(\w+)")
_IMPORT = re.compile(r'^[ \t]*(?:import[ \t]+)?(?:([\w.]+)[ \t]+)?"([\w./~-]+)"[ \t]*$', re.MULTILINE)
_PACKAGE = re.compile(r"^package[ \t]+(\w+)", re.MULTILINE)
_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)
_MAIN = re.compile(r"^func main\(\)", re.MULTILINE)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`')
_NAMES = re.compile(r"(\.\s*)?\b([A-Za-z_]\w*)")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)*\'|[{}()\[\],]')
_OPENING, _CLOSING = "{([", "})]"


class Part(NamedTuple):
    """One declaration of a file, or a group of them. `names` of functions and variables; `owner` is the type of a
    method, empty for everything else. There are tens of thousands of them, so that it is the fastest kind of class.
    """

    path: str
    number: int
    names: tuple[str, ...]
    owner: str
    text: str

    @property
    def is_function(self) -> bool:
        return self.text.startswith("func")

    @property
    def parameters(self) -> list[str]:
        """The names of a function's parameters."""
        head = _FUNCTION.match(self.text)
        return [one.split()[0] for one in arguments(self.text, head.end() - 1) if one.split()] if head else []


class GoCode:
    """`import` of a package of the project is followed also into another module of it: a go.work or a `replace` says
    where that is.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._folders: dict[str, list[str]] = {}
        for path in texts.of(GO, ""):
            self._folders.setdefault(posixpath.dirname(path), []).append(path)
        manifests = list(texts.files.named(r"go\.mod"))
        named = ((_MODULE.search(texts.text(path)), posixpath.dirname(path)) for path in manifests)
        self._modules = sorted(((name[1], home) for name, home in named if name), key=lambda one: -len(one[0]))
        self._homes = {posixpath.dirname(path) for path in manifests}
        self._sources: dict[str, str] = {}
        self._imports: dict[str, dict[str, str]] = {}
        self._parts: dict[str, list[Part]] = {}
        self._closures: dict[str, list[str]] = {}
        self._named: dict[str, dict[str, list[Part]]] = {}

    def programs(self) -> Iterator[str]:
        """The files with the `main` of a program."""
        for paths in self._folders.values():
            yield from (path for path in paths if self._is_program(self._texts.text(path)))

    @staticmethod
    def _is_program(text: str) -> bool:
        package = _PACKAGE.search(text)
        return package is not None and package[1] == "main" and _MAIN.search(text) is not None

    def home_of(self, path: str) -> str:
        """The folder of the module of a file."""
        return next((folder for folder in ancestors(path) if folder in self._homes), "")

    def source(self, path: str) -> str:
        """Without comments."""
        if path not in self._sources:
            self._sources[path] = without_comments(self._texts.text(path))
        return self._sources[path]

    def files_of(self, folder: str) -> Sequence[str]:
        return self._folders.get(folder, ())

    def imports(self, path: str) -> Mapping[str, str]:
        """The folders of the project's packages that a file imports, by the names that they have in it."""
        if path not in self._imports:
            found: dict[str, str] = {}
            for alias, name in _IMPORT.findall(self.source(path)):
                folder = self._folder_of(name)
                if folder is not None and folder != posixpath.dirname(path):
                    found[f"_ {folder}" if alias == "_" else alias or self._name_of(folder)] = folder
            self._imports[path] = found
        return self._imports[path]

    def _folder_of(self, name: str) -> str | None:
        for module, home in self._modules:
            if f"{name}/".startswith(f"{module}/"):
                folder = posixpath.join(home, name[len(module) + 1 :]).rstrip("/")
                return folder if folder in self._folders else None
        return None

    def _name_of(self, folder: str) -> str:
        package = _PACKAGE.search(self._texts.text(self._folders[folder][0]))
        return package[1] if package else posixpath.basename(folder)

    def closure(self, folder: str) -> list[str]:
        """A package and all of the project that it imports, also by way of others."""
        if folder not in self._closures:
            found, waiting = {folder: None}, [folder]
            while waiting and not self._texts.files.is_late():
                for path in self.files_of(waiting.pop()):
                    for other in self.imports(path).values():
                        if other not in found:
                            found[other] = None
                            waiting.append(other)
            self._closures[folder] = list(found)
        return self._closures[folder]

    def homes(self, program: str) -> list[str]:
        """The folders of the modules that a program is made of, its own first."""
        folders = self.closure(posixpath.dirname(program))
        return list(dict.fromkeys(self.home_of(path) for folder in folders for path in self.files_of(folder)))

    def parts(self, folder: str) -> list[Part]:
        if folder not in self._parts:
            self._parts[folder] = [
                part for path in self.files_of(folder) for part in _parts_of(path, self.source(path))
            ]
        return self._parts[folder]

    def main_of(self, program: str) -> list[Part]:
        """Where a program begins: `main`, and what runs before it in the packages that it imports."""
        folder = posixpath.dirname(program)
        every = (part for one in self.closure(folder) for part in self.parts(one))
        first = [part for part in every if part.text.startswith("var") or part.names == ("init",)]
        return [*(part for part in self.parts(folder) if part.names == ("main",) and part.path == program), *first]

    def reached(
        self, program: str, begin: Iterable[tuple[str, str]], text_of: Callable[[Part], str] = lambda part: part.text
    ) -> dict[Part, None]:
        """What the texts of `begin` (each with the path of its file) may lead to, in what a program imports.

        A method counts once its name is read, and that of its type.
        """
        folders = self.closure(posixpath.dirname(program))
        methods = [part for folder in folders for part in self.parts(folder) if part.owner]
        found: dict[Part, None] = {}
        seen: set[str] = set()
        waiting = list(begin)
        while waiting and not self._texts.files.is_late():
            while waiting:
                text, path = waiting.pop()
                for part in self._named_in(text, path, seen):
                    if part not in found:
                        found[part] = None
                        waiting.append((text_of(part), part.path))
            more = [part for part in methods if part not in found and part.owner in seen and part.names[0] in seen]
            found.update(dict.fromkeys(more))
            waiting += [(text_of(part), part.path) for part in more]
        return found

    def leads_to(self, program: str, text: str) -> bool:
        """Whether a program has a text in what its `main` may lead to."""
        main = self.main_of(program)
        return any(text in part.text for part in (*main, *self.reached(program, [(p.text, p.path) for p in main])))

    def _named_in(self, text: str, path: str, seen: set[str]) -> Iterator[Part]:
        """The declarations that a text of a file names; every name is added to `seen`."""
        imports, own = self.imports(path), self._by_name(posixpath.dirname(path))
        before = ""
        for dot, name in _NAMES.findall(_STRING.sub('""', text)):
            seen.add(name)
            if not dot:
                yield from own.get(name, ())
            elif before in imports:
                yield from self._by_name(imports[before]).get(name, ())
            before = "" if dot else name

    def _by_name(self, folder: str) -> Mapping[str, list[Part]]:
        if folder not in self._named:
            found: dict[str, list[Part]] = {}
            for part in self.parts(folder):
                for name in () if part.owner else part.names:
                    found.setdefault(name, []).append(part)
            self._named[folder] = found
        return self._named[folder]

    def named(self, qualifier: str, name: str, path: str) -> list[Part]:
        """What a name means in a file, with the name of a package before it, or none."""
        folder = self.imports(path).get(qualifier) if qualifier else posixpath.dirname(path)
        return self._by_name(folder).get(name, []) if folder is not None else []

    def near(self, expression: str, path: str) -> Sequence[str]:
        """The files that may declare what an expression of a file names."""
        folder = self.imports(path).get(expression.partition(".")[0])
        return self.files_of(folder) if folder is not None else self._texts.of(GO, self.home_of(path))


def _parts_of(path: str, text: str) -> Iterator[Part]:
    for number, chunk in enumerate(_TOP.split(text)):
        if function := _FUNCTION.match(chunk):
            yield Part(path, number, (function[2],), function[1] or "", chunk)
        elif chunk.startswith("var"):
            yield Part(path, number, tuple(_VARIABLE.findall(chunk)), "", chunk)
        elif named := _TYPE.match(chunk):  # the types of its fields have methods
            yield Part(path, number, (named[1],), "", chunk)


@functools.lru_cache(maxsize=64)
def _closed(text: str) -> Mapping[int, int]:
    """By the position of each bracket, the one behind that which closes it."""
    found, opened = {}, []
    for token in _TOKEN.finditer(text):
        if token[0] in _OPENING:
            opened.append(token.start())
        elif token[0] in _CLOSING and opened:
            found[opened.pop()] = token.end()
    return found


def closing(text: str, at: int) -> int:
    """The position behind the bracket that closes the one at `at`."""
    return _closed(text).get(at, len(text))


def arguments(text: str, at: int) -> list[str]:
    """What stands between the bracket at `at` and its closing one, at the commas in between."""
    found, depth, begin = [], 0, at + 1
    for token in _TOKEN.finditer(text, at):
        depth += (token[0] in _OPENING) - (token[0] in _CLOSING)
        if depth == 0 or (depth == 1 and token[0] == ","):
            found.append(text[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            break
    return [one for one in found if one]


def fields(text: str, at: int) -> dict[str, str]:
    """The fields of a literal whose bracket is at `at`."""
    parted = (one.partition(":") for one in arguments(text, at))
    return {name.strip(): value.strip() for name, _colon, value in parted}


def flat(text: str, at: int) -> str:
    """The block whose bracket is at `at`, with blanks in place of the blocks inside it."""
    end, depth = closing(text, at), 0
    found = list(text[at:end])
    for token in _TOKEN.finditer(text, at, end):
        if token[0] == "{":
            depth += 1
            if depth == 2:
                inner = closing(text, token.start())
                found[token.start() - at : inner - at] = " " * (inner - token.start())
        depth -= token[0] == "}"
    return "".join(found)


def calls(part: Part, name: str, *, qualifiers: Collection[str] | None) -> Iterator[list[str]]:
    """The arguments of each call of a function in a declaration, where its name has one of the `qualifiers` before it;
    None: a method, with any.
    """
    for found in re.finditer(rf"(?:(\b\w+)?\s*(\.)\s*)?\b{re.escape(name)}\(", part.text):
        if part.text[: found.start()].strip() == "func":
            continue
        if found[2] if qualifiers is None else (found[1] or found[2] or "") in qualifiers:
            yield arguments(part.text, found.end() - 1)
