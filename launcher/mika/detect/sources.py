"""The Python sources of a project as one: which module an import means, and what a name is worth."""

from __future__ import annotations

import ast
import posixpath
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from mika.detect.config_files import ConfigFiles
from mika.detect.environments import installed_scripts
from mika.detect.fields import dotted, field_default, from_environment, is_display, literal, of_config
from mika.detect.files import Files, ancestors
from mika.detect.modules import LARGEST_SOURCE, Module, parse
from mika.detect.siblings import Siblings
from mika.frozen import frozen
from mika.quoting import quoted

_MENTIONS = re.compile(
    rb"temporalio|fastapi|starlette|quart|litestar|sanic|flask|__main__|asyncio\.run|\bapp\s*[:=]"
    rb"|^(?:from|import) (?:streamlit|chainlit|gradio|celery|telegram|telebot|aiogram|pyrogram|telethon|discord)\b",
    re.IGNORECASE | re.MULTILINE,
)
_NOISE = re.compile(r"(^|/)(tests?|examples?|samples?|docs?|migrations)/|(^|/)(test_[^/]*|[^/]*_tests?|conftest)\.py$")
_EXAMPLE = re.compile(r"(^|/)(examples?|samples?)/")
_MAKES = re.compile(rb"^from temporalio\.worker import (?s:.)*\bWorker\(", re.MULTILINE)
_DEEPEST = 8
_FIELDS = {"field", "Field", "Option", "Argument"}  # of dataclasses, pydantic, typer
_OPTIONS = {"options", "opts", "kwargs"}
"""What a command of Django or the like calls the values of its options."""
_GETTER = re.compile(r"(.*\.)?(getenv|environ\.get|env|env\.str|config)")
_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)""")
_COMMAND = re.compile(r"(?:^|.*/)management/commands/(\w+)\.py")


@frozen
class Value:
    """A text, as far as it is known, and the environment variable that may change it; `file`: the one that has it, if
    that is no source code.
    """

    text: str | None = None
    variable: str = ""
    file: str = field(default="", compare=False)


@frozen
class Start:
    """A command, and its folder relative to the project (empty: the project itself)."""

    cwd: str
    command: str
    env: tuple[tuple[str, str], ...] = ()

    @classmethod
    def at(cls, root: str, home: str, command: str) -> Start:
        """In the folder that must be on `sys.path`; with `src/`, in the one above, where the other files are."""
        if root == posixpath.join(home, "src"):
            return cls(home, command, (("PYTHONPATH", "src"),))
        return cls(root, command)


def _dotted_path(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _files_of_scripts(files: Files) -> Iterator[str]:
    """Those with a function that a part of the project installs as a program."""
    for path in files.named(r"pyproject\.toml"):
        home = posixpath.dirname(path)
        for target in installed_scripts(files, home):
            relative = target.partition(":")[0].replace(".", "/")
            for stem in (posixpath.join(home, relative), posixpath.join(home, "src", relative)):
                yield from (f"{stem}.py", f"{stem}/__init__.py")


class Sources:
    """All Python files of a project; each is parsed when it is asked for."""

    def __init__(self, files: Files, variables: Mapping[str, str]) -> None:
        self.files, self._variables = files, variables
        self.config = ConfigFiles(files)
        self._modules: dict[str, Module | None] = {}
        self._imported: dict[str, list[Module]] = {}
        self.errors: dict[str, SyntaxError] = {}
        self._siblings = Siblings(files)
        self._scripts = set(_files_of_scripts(files))
        self.entries = [module for module in map(self._entry, files.python) if module is not None]
        """The modules that may be something to run."""

    def _entry(self, path: str) -> Module | None:
        if self.files.is_late() or _NOISE.search(path):
            return None
        is_named = path in self._scripts or _COMMAND.fullmatch(path) is not None
        return self.module(path) if is_named or _MENTIONS.search(self.files.read(path, LARGEST_SOURCE)) else None

    def examples(self) -> Iterator[str]:
        """The programs in a folder of examples that make a worker of Temporal."""
        for path in self.files.python:
            if _EXAMPLE.search(path) and _MAKES.search(self.files.read(path, LARGEST_SOURCE)):
                yield path

    def module(self, path: str) -> Module | None:
        if path not in self._modules:
            parsed = parse(path, self.files.read(path, LARGEST_SOURCE))
            if isinstance(parsed, SyntaxError):
                self.errors[path] = parsed
            self._modules[path] = parsed if isinstance(parsed, Module) else None
        return self._modules[path]

    # --- imports -----------------------------------------------------------------------------------------------------

    def find(self, name: str, importer: str) -> Module | None:
        """The module `name` (perhaps relative), as Python would find it from a folder above the importing file."""
        folders = list(ancestors(importer))
        level = len(name) - len(name.lstrip("."))
        if level:
            folders = folders[level - 1 : level]
        bases = [base for folder in folders for base in (folder, posixpath.join(folder, "src"))]
        if not level and (base := self._siblings.base_of(name, importer)) is not None:
            bases.append(base)
        for base in bases:
            stem = posixpath.join(base, name[level:].replace(".", "/")).rstrip("/")
            for path in (f"{stem}.py", posixpath.join(stem, "__init__.py")):
                if path in self.files:
                    return self.module(path)
        return None

    def imported(self, module: Module, name: str) -> tuple[Module | None, str]:
        """Where a local name comes from: the module, and the name in it (empty: the module itself)."""
        source, attribute = module.imports.get(name, ("", ""))
        if not source:
            return None, ""
        if (source, attribute) == ("django.conf", "settings"):
            return self.django_settings(module.path), ""
        if attribute and (found := self.find(f"{source}{'' if source.endswith('.') else '.'}{attribute}", module.path)):
            return found, ""
        return self.find(source, module.path), attribute

    def django_settings(self, path: str) -> Module | None:
        """The settings module that the manage.py above a file names, or DJANGO_SETTINGS_MODULE."""
        manage = next(
            (path for folder in ancestors(path) if (path := posixpath.join(folder, "manage.py")) in self.files), ""
        )
        named = _SETTINGS.search(self.files.text(manage, LARGEST_SOURCE)) if manage else None
        name = self._variables.get("DJANGO_SETTINGS_MODULE") or (named[1] if named else "")
        return self.find(name, manage or path) if name else None

    def reachable(self, *modules: Module) -> list[Module]:
        """The modules and all of the project that they import, the nearest first."""
        found, waiting = {module.path: module for module in modules}, deque(modules)
        while waiting and not self.files.is_late():
            for other in self._imported_by(waiting.popleft()):
                if other.path not in found:
                    found[other.path] = other
                    waiting.append(other)
        return list(found.values())

    def _imported_by(self, module: Module) -> list[Module]:
        if module.path not in self._imported:
            found = (self.imported(module, name)[0] for name in module.imports)
            self._imported[module.path] = [other for other in found if other is not None]
        return self._imported[module.path]

    def root_of(self, module: Module) -> str:
        """The folder that must be on `sys.path`: the one under which most of its own imports are found."""
        folder = posixpath.dirname(module.path)
        names = {source for source, _ in module.imports.values()}
        votes = Counter(base for name in names if (base := self._base_of(name, module)) is not None)
        if votes and not any(name.startswith(".") for name in names):
            return max(votes, key=lambda base: (votes[base], len(base)))
        # Above the package that it is in. A package needs no __init__.py, but only then relative imports tell of it.
        is_package = any(name.startswith(".") for name in names)
        while folder and (is_package or posixpath.join(folder, "__init__.py") in self.files):
            folder, is_package = posixpath.dirname(folder), False
        return folder

    def _base_of(self, name: str, module: Module) -> str | None:
        """The nearest folder under which Python would find the module `name`; None if it is not of the project."""
        path = name.replace(".", "/")
        for above in ancestors(module.path):
            for base in (above, posixpath.join(above, "src")):
                stem = posixpath.join(base, path)
                # A module may have the name of the folder it is in: `worker/worker.py` imports no `worker` of itself.
                is_itself = posixpath.join(base, f"{name.partition('.')[0]}.py") == module.path
                if not is_itself and (f"{stem}.py" in self.files or self.files.has_modules(stem)):
                    return base
        return None

    # --- how it is started -------------------------------------------------------------------------------------------

    def start_of(self, module: Module) -> Start | None:
        """How to run a module as a program; None if it does nothing then."""
        if command := _COMMAND.fullmatch(module.path):
            manage = next((f for f in ancestors(module.path) if posixpath.join(f, "manage.py") in self.files), None)
            return Start(manage, f"python manage.py {command[1]}") if manage is not None else None
        if not module.runs:
            return self._script_of(module)
        root, home = self.root_of(module), self.files.home_of(module.path)
        relative = posixpath.relpath(module.path, root or ".")
        if relative.startswith(".."):  # a script beside the folder that has what it imports
            env = (("PYTHONPATH", posixpath.relpath(root or ".", home or ".")),)
            return Start(home, f"python {quoted(posixpath.relpath(module.path, home or '.'))}", env)
        if posixpath.basename(relative) == "__main__.py" and "/" in relative:
            return Start.at(root, home, f"python -m {quoted(_dotted_path(posixpath.dirname(relative)))}")
        if "/" in relative:
            return Start.at(root, home, f"python -m {quoted(_dotted_path(relative))}")
        return Start(
            home, f"python {quoted(posixpath.relpath(module.path, home or '.'))}"
        )  # its folder is on sys.path anyway

    def _script_of(self, module: Module) -> Start | None:
        return next(iter(self.scripts_of(module).values()), None)

    def scripts_of(self, module: Module) -> dict[str, Start]:
        """The programs that its project installs for functions of the module, by these."""
        home, (_, name) = self.files.home_of(module.path), self.name_of(module)
        targets = (
            (*target.partition(":")[::2], script) for target, script in installed_scripts(self.files, home).items()
        )
        return {
            function: Start(home, script)
            for place, function, script in targets
            if place == name and function in module.factories
        }

    def name_of(self, module: Module) -> tuple[str, str]:
        """The folder for `sys.path`, and the module's name there."""
        root = self.root_of(module)
        return root, _dotted_path(posixpath.relpath(module.path, root or "."))

    # --- values ------------------------------------------------------------------------------------------------------

    def value(self, node: ast.AST | None, module: Module, depth: int = 0) -> Value:
        """What an expression is worth: a literal, a constant, a default, a variable of the environment."""
        if node is None or depth > _DEEPEST or self.files.is_late():
            return Value()
        match node:
            case ast.Constant(value=str() | int() as constant):
                return Value(str(constant))
            case ast.Call(args=[first, *rest]) if self._gets(node.func, module) is not None:
                default = rest[0] if rest else module.keyword(node, "default")
                value = self._variable(literal(first) or "", default, module, depth)
                is_sure = self._gets(node.func, module) or value.variable in self._variables
                return value if is_sure else Value(None, value.variable)
            case ast.Call(args=[owner, ast.Constant(value=str(name)), *rest]) if dotted(node.func) == "getattr":
                operands = [ast.Attribute(owner, name), *rest]
                return self._first(self.value(operand, module, depth + 1) for operand in operands)
            case ast.Subscript(value=owner, slice=index) if key := of_config(owner, index):
                return self.value(ast.Attribute(owner, key), module, depth + 1)
            case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[index, *rest]) if key := of_config(
                owner, index
            ):
                return self._first(self.value(one, module, depth + 1) for one in (ast.Attribute(owner, key), *rest))
            case ast.Call(
                func=ast.Attribute(value=inner, attr="strip" | "rstrip"), args=[] | [ast.Constant(value="/")]
            ):
                return self.value(inner, module, depth + 1)
            case ast.Call() if dotted(node.func).rpartition(".")[2] in _FIELDS:
                return self.value(field_default(node), module, depth + 1)
            case ast.Call(args=[], keywords=[]) if (got := self._returned(dotted(node.func), module)) is not None:
                return self.value(*got, depth + 1)
            case ast.Call(args=[first]) if dotted(node.func) in ("int", "str"):
                return self.value(first, module, depth + 1)
            case ast.Subscript(value=owner, slice=index) if dotted(owner).endswith("environ"):
                return self._variable(literal(index) or "", None, module, depth)
            case ast.BoolOp(values=operands):
                found = [self.value(operand, module, depth + 1) for operand in operands]
                named = next((value.variable for value in found if value.variable), "")
                return Value(self._first(found).text, named)  # a default after `or` does not make it a fixed one
            case ast.JoinedStr(values=parts):
                texts = [
                    self.value(
                        getattr(part, "value", None) if isinstance(part, ast.FormattedValue) else part,
                        module,
                        depth + 1,
                    ).text
                    for part in parts
                ]
                return Value("".join(filter(None, texts))) if None not in texts else Value()
            case ast.Name(id=name):
                return self._named(name, module, depth)
            case ast.Subscript() | ast.Attribute():
                return self._member(node, module, depth)
        return Value()

    def _member(self, node: ast.Subscript | ast.Attribute, module: Module, depth: int) -> Value:
        """An item of a table, or what something of that name is worth: an attribute says little of its owner."""
        match node:
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(key))):
                if dotted(owner) in _OPTIONS:
                    return self.value(module.values.get(key), module, depth + 1)
                return self._item(owner, key, module, depth + 1)
            case ast.Attribute(attr="value", value=ast.Attribute() as member):  # of an enum
                return self.value(member, module, depth + 1)
            case ast.Attribute(attr=name, value=ast.Attribute(attr=outer)) if (
                own := self._nested(outer, name, module)
            ) is not None:
                return self.value(*own, depth + 1)
            case ast.Attribute(attr=name):
                other, _ = self.imported(module, dotted(node.value).partition(".")[0])
                places = [place for place in (other, module) if place is not None and name in place.values]
                places += [place for place in self.reachable(module) if name in place.values]
                return self._first(self.value(place.values[name], place, depth + 1) for place in places)
        return Value()

    def _gets(self, function: ast.expr, module: Module) -> bool | None:
        """Whether calling it gets a variable of the environment, and looks nowhere else; None if it does not."""
        name = dotted(function)
        owner, _dot, verb = name.rpartition(".")
        if _GETTER.fullmatch(name) or (verb == "get" and _is_environment(module.values.get(owner))):
            return True
        if name in module.getters:
            return module.getters[name]
        other, attribute = self.imported(module, name)
        return other.getters.get(attribute) if other is not None else None

    def _nested(self, outer: str, name: str, module: Module) -> tuple[ast.expr, Module] | None:
        """The field `name` of an object in a field `outer` of settings, as its variable, and the module that has it."""
        for place in self.reachable(module):
            type_name, prefix = place.nested.get(outer, ("", ""))
            other, attribute = self.imported(place, type_name)
            for owner, known in ((place, type_name), (other, attribute)):
                if owner is not None and name in owner.fields_of.get(known, {}):
                    return from_environment(f"{prefix}{name}", owner.fields_of[known][name]), owner
        return None

    def _item(self, owner: ast.expr, key: str, module: Module, depth: int) -> Value:
        """That of a table which is written in the project."""
        table, place = self.display(owner, module)
        if isinstance(table, ast.Dict):
            for name, item in zip(table.keys, table.values, strict=True):
                if literal(name) == key:
                    return self.value(item, place, depth)
        return Value()

    def display(self, node: ast.expr, module: Module) -> tuple[ast.expr, Module]:
        """The list or table that a name means, and the module that has it; else the name itself."""
        name = dotted(node).rpartition(".")[2]
        other, attribute = self.imported(module, dotted(node).partition(".")[0])
        for place, known in ((module, name), (other, attribute or name), (other, name)):
            found = place.values.get(known, place.returns.get(known)) if place is not None else None
            if isinstance(found, ast.Call) and dotted(found.func).rpartition(".")[2] in _FIELDS:
                found = field_default(found)
            if place is not None and found is not None and is_display(found):
                return found, place
        return node, module

    def _returned(self, function: str, module: Module) -> tuple[ast.expr, Module] | None:
        """What a function of the project returns that does nothing else, and its module."""
        if function in module.returns:
            return module.returns[function], module
        other, attribute = self.imported(module, function)
        return (other.returns[attribute], other) if other is not None and attribute in other.returns else None

    def _named(self, name: str, module: Module, depth: int) -> Value:
        own = module.values.get(name)
        if own is not None and dotted(own) != name:
            found = self.value(own, module, depth + 1)
            if found != Value():
                return found
        other, attribute = self.imported(module, name)
        if other is not None and attribute in other.values:
            return self.value(other.values[attribute], other, depth + 1)
        for all_of in (each for each in module.imports if each.startswith("*") and other is None):
            if (place := self.imported(module, all_of)[0]) is not None and name in place.values:
                return self.value(place.values[name], place, depth + 1)
        return (
            self._named(attribute, other, depth + 1)
            if other is not None and attribute and depth < _DEEPEST
            else Value()
        )

    def _variable(self, name: str, default: ast.AST | None, module: Module, depth: int) -> Value:
        if not name.isidentifier():
            return Value()
        given = self._variables.get(name)
        return Value(given if given is not None else self.value(default, module, depth + 1).text, name)

    @staticmethod
    def _first(values: Iterable[Value]) -> Value:
        """The first one that is known; else the first one that names a variable."""
        found = list(values)
        return next((value for value in found if value.text), next((v for v in found if v.variable), Value()))


def _is_environment(node: ast.expr | None) -> bool:
    """`os.environ`, also as one of two."""
    match node:
        case ast.BoolOp(values=operands):
            return any(map(_is_environment, operands))
        case ast.IfExp(body=body, orelse=other):
            return _is_environment(body) or _is_environment(other)
    return dotted(node) in ("os.environ", "environ")
