"""What one Python file says, from its syntax alone: imports, constants, calls, routes."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mika.detect.fields import (
    VARIABLE,
    alias_of,
    assigned,
    calls_of_base,
    dotted,
    fields,
    from_environment,
    gets,
    is_of_temporal,
    leaves_out,
    literal,
    names_variable,
    option_of,
    required_in,
    returned_by,
    started_by,
    unpacked,
)
from mika.frozen import frozen

LARGEST_SOURCE = 100_000
"""Bytes. The syntax tree of a file takes a hundred times its size."""
_VERBS = {"get", "route", "api_route", "add_api_route", "add_url_rule", "add_route", "Route", "path"}
_INCLUDES = {"include_router", "register_blueprint"}
_CALLS = {"Worker", "Config", "connect", "path", "run", "run_app", *_INCLUDES}
ON_IMPORT, ON_RUN = "", "__main__"
"""In place of a function's name: what a module does when it is imported, and only when it is a program."""
_PLAIN_CALL = re.compile(
    r"(os\.)?(getenv|environ\.get)|str|int|bool|\w*(Error|Exception)|print|log\w*(\.\w+)*|(\w+\.)?(strip|lower|upper)|"
)
_RUNS = re.compile(r"(asyncio|anyio|uvloop|trio|typer)\.run|main|run|(fire\.)?Fire")
_REDIRECTS = {"RedirectResponse", "redirect"}


@frozen
class Route:
    """GET answers at `path`; `owner` is the name of the app or router, empty in a list of routes."""

    owner: str
    path: str


@frozen
class Command:
    """A command that a function is, with click or typer. `owner`: the program or group; empty: it may be one itself."""

    function: str
    owner: str
    name: str
    is_group: bool
    needs_input: bool
    """Or what it is called is not certain."""


@dataclass(slots=True)
class Module:
    """`path` is relative to the project. Of the syntax tree, only the parts that are named here are kept."""

    path: str
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Local name -> (module as it is written, name in it or an empty text)."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """Name -> the first value that is assigned to it; those of the module itself come before others."""
    read: dict[str, ast.expr] = field(default_factory=dict)
    """Name -> the first value for it that names a variable of the environment, assigned or as an argument."""
    made: list[tuple[str, ast.Call]] = field(default_factory=list)
    """Assignments of the module itself whose value is a call, in their order."""
    calls: list[ast.Call] = field(default_factory=list)
    factories: dict[str, set[str]] = field(default_factory=dict)
    """Function -> the names that it calls."""
    uses: dict[str, set[str]] = field(default_factory=dict)
    """Function or class -> the names in it; of a class, those of its methods."""
    commands: list[Command] = field(default_factory=list)
    added: dict[str, tuple[str, str]] = field(default_factory=dict)
    """A group or command -> the one that it is added to by a call, and the name that it gets."""
    with_callback: set[str] = field(default_factory=set)
    """What has a function of its own beside its commands."""
    routes: list[Route] = field(default_factory=list)
    defaults: dict[str, ast.expr] = field(default_factory=dict)
    """Variable of the environment -> what the first call with its name has beside that."""
    required: set[str] = field(default_factory=set)
    """The variables of the environment without which it raises an error."""
    getters: dict[str, bool] = field(default_factory=dict)
    """A function that gets the variable of the environment that it is given -> whether it looks nowhere else."""
    compared: list[tuple[ast.expr, set[str]]] = field(default_factory=list)
    """What is compared with texts of which one is a name or address of this machine, and these."""
    tests: list[ast.expr] = field(default_factory=list)
    """The conditions in it that may be about Temporal or a worker."""
    settings: dict[str, str] = field(default_factory=dict)
    """A class of pydantic's settings -> what its variables begin with."""
    nested: dict[str, tuple[str, str]] = field(default_factory=dict)
    """A field of settings that is an object -> its class, and what the variables of its fields begin with."""
    fields_of: dict[str, dict[str, ast.expr]] = field(default_factory=dict)
    """Any other class -> the values of its fields."""
    returns: dict[str, ast.expr] = field(default_factory=dict)
    """A function or property without arguments that does nothing else -> what it returns."""
    parameters: dict[str, tuple[str, int]] = field(default_factory=dict)
    """A parameter of a function, or of a class when it is made -> that, and the position among the arguments."""
    passing: dict[str, list[ast.Call]] = field(default_factory=dict)
    """What is called with arguments -> these calls."""
    each: dict[str, tuple[ast.expr, int, bool]] = field(default_factory=dict)
    """The variable of a loop -> what it goes through, the position in each element (-1: all), and whether all count."""
    blocks: list[ast.AsyncWith] = field(default_factory=list)
    """Each `async with`."""
    loops: dict[str, list[str]] = field(default_factory=dict)
    """The variable of a `for` -> the names that it goes through."""
    runs: bool = False
    """It does something when it is run as a program."""

    @property
    def uses_temporal(self) -> bool:
        return any(source.partition(".")[0] == "temporalio" for source, _name in self.imports.values())

    def source_of(self, name: str) -> str:
        """`temporalio.worker.Worker` for the local name of it, with or without dots; else the name itself."""
        first, _, rest = name.partition(".")
        module, attribute = self.imports.get(first, ("", ""))
        return ".".join(filter(None, (module, attribute, rest))) if module else name

    def keyword(self, call: ast.Call, name: str) -> ast.expr | None:
        given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        return unpacked(call, name, self.values) if given is None else given


def parse(path: str, source: bytes) -> Module | SyntaxError:
    """The error if it is not Python, or that of a newer version than this one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "invalid escape sequence"
            tree = ast.parse(source)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL, nested too deeply
        return SyntaxError(str(error))
    module = Module(path)
    module.runs = any(_runs(statement) for statement in tree.body)
    for statement in tree.body:
        _note_uses(statement, module)
        for name, value in assigned(statement):
            module.values.setdefault(name, value)
            if isinstance(value, ast.Call):
                module.made.append((name, value))
    own = dict(module.values)
    for node in ast.walk(tree):
        _visit(node, module)
    # A default is not what is used where something else is read from the environment and passed.
    module.values |= {name: value for name, value in module.read.items() if name not in own}
    module.calls.sort(key=lambda call: call.lineno)
    return module


def _visit(node: ast.AST, module: Module) -> None:
    match node:
        case ast.Import():
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                module.imports.setdefault(alias.asname or name, (name, ""))
                module.imports.setdefault(alias.name, (alias.name, ""))
        case ast.ImportFrom():
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                local = f"* of {source}" if alias.name == "*" else alias.asname or alias.name
                module.imports.setdefault(local, (source, alias.name))
        case ast.ClassDef():
            _note_class(node, module)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            _note_function(node, module)
        case ast.For(target=target, iter=items) | ast.comprehension(target=target, iter=items):
            _note_loop(target, items, module, is_all=not leaves_out(node))
        case ast.Assign() | ast.AnnAssign():
            for name, value in assigned(node):
                if dotted(value) != name and not _is_none(value):  # self.queue = queue
                    module.values.setdefault(name, value)
                    if names_variable(value):
                        module.read.setdefault(name, value)
        case ast.Subscript():
            module.required |= required_in(node)
        case ast.AsyncWith():
            module.blocks.append(node)
        case ast.If(test=test) | ast.IfExp(test=test) if is_of_temporal(test):
            module.tests.append(test)
        case ast.Compare():
            _note_compared([node.left, *node.comparators], module)
        case ast.Call():
            _note_call(node, module)


def _note_class(node: ast.ClassDef, module: Module) -> None:
    bases = [dotted(base).rpartition(".")[2] for base in node.bases]
    prefixes = [module.settings[base] for base in bases if base in module.settings]
    is_settings = bool(prefixes) or any(base.endswith("Settings") for base in bases)
    prefix = (option_of(node, "env_prefix") or "".join(prefixes[:1])) if is_settings else ""
    if is_settings:
        module.settings[node.name] = prefix
        _note_nested(node, prefix, module)
    else:
        module.fields_of[node.name] = dict(pair for statement in node.body for pair in fields(statement))
    module.calls += calls_of_base(node)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            _note_parameters(node.name, statement.args.args[1:], module)
        for name, value in fields(statement) if is_settings else assigned(statement):
            own = from_environment(alias_of(value) or f"{prefix}{name}", value) if is_settings else value
            module.values.setdefault(name, own)
            if is_settings:
                _note_default(own, module)
                module.required |= required_in(own)


def _note_function(node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module) -> None:
    if (returned := returned_by(node)) is not None:
        module.returns.setdefault(node.name, returned)
    module.factories[node.name] = {dotted(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    arguments = node.args.posonlyargs + node.args.args
    _note_parameters(node.name, [*arguments, *node.args.kwonlyargs], module)
    if arguments and gets(node, arguments[0].arg):
        looks = module.factories[node.name]
        module.getters[node.name] = all(_PLAIN_CALL.fullmatch(called) for called in looks)
    for argument, default in zip(reversed(arguments), reversed(node.args.defaults), strict=False):
        if not _is_none(default):
            module.values.setdefault(argument.arg, default)
    answers = module.factories[node.name].isdisjoint(_REDIRECTS)
    _note_commands(node, module)
    for decorator in node.decorator_list:
        if answers and isinstance(decorator, ast.Call):
            module.routes.extend(_routes(decorator))


def _note_call(node: ast.Call, module: Module) -> None:
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("startswith", "endswith"):
        _note_compared([node.func.value, *node.args], module)
    called = dotted(node.func)
    if not _CALLS.isdisjoint(name.rpartition(".")[2] for name in (called, module.source_of(called))):
        module.calls.append(node)
    _note_default(node, module)
    for call in (node, started_by(node)):
        if call is not None and (call.args or call.keywords):
            module.passing.setdefault(dotted(call.func), []).append(call)
    owner, _dot, verb = called.rpartition(".")
    if verb in ("add_argument", "option"):
        _note_option(node, module)
    if verb == "from_object" and node.args and (named := literal(node.args[0])):  # of Flask's settings
        module.imports.setdefault(named, (named.rpartition(".")[0] or named, named.rpartition(".")[2]))
    if verb in ("add_typer", "add_command") and node.args:
        name = literal(module.keyword(node, "name")) or literal(node.args[-1]) or ""
        module.added[dotted(node.args[0])] = owner, name
    for keyword in node.keywords:  # Config(task_queue=os.getenv(…))
        if keyword.arg and names_variable(keyword.value):
            is_own = dotted(node.func) == "cls" or dotted(node.func) in module.uses
            (module.read if is_own else module.values).setdefault(keyword.arg, keyword.value)
    if len(node.args) > 1:  # a decorator has the path alone
        module.routes.extend(_routes(node))


def _note_nested(settings: ast.ClassDef, prefix: str, module: Module) -> None:
    if delimiter := option_of(settings, "env_nested_delimiter"):
        for statement in settings.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id=type_name)):
                    module.nested[name] = type_name, f"{prefix}{name}{delimiter}"


def _note_parameters(owner: str, arguments: Iterable[ast.arg], module: Module) -> None:
    for position, argument in enumerate(arguments):
        module.parameters.setdefault(argument.arg, (owner, position))


def _note_loop(target: ast.expr, items: ast.expr, module: Module, *, is_all: bool) -> None:
    for position, each in enumerate(target.elts) if isinstance(target, ast.Tuple) else [(-1, target)]:
        if isinstance(each, ast.Name):
            module.each.setdefault(each.id, (items, position, is_all))
            if isinstance(items, ast.Tuple | ast.List) and position <= 0:
                module.loops[each.id] = [dotted(item) for item in items.elts]


def _note_option(call: ast.Call, module: Module) -> None:
    """The default of an option of argparse or click, by the name that the program has for it."""
    names = [name for name in map(literal, call.args) if name]
    long = next((name for name in names if name.startswith("--")), names[0] if names else "")
    name = literal(module.keyword(call, "dest")) or long.lstrip("-").replace("-", "_")
    default = module.keyword(call, "default")
    if name and default is not None:
        module.values.setdefault(name, default)
        if names_variable(default):
            module.read.setdefault(name, default)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _note_commands(node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module) -> None:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        owner, _dot, verb = dotted(call.func).rpartition(".")
        if verb == "callback":
            module.with_callback.add(owner)
        elif owner and verb in ("command", "group"):
            given = literal(module.keyword(call, "name")) or literal(call.args[0] if call.args else None)
            # Newer versions of click take `_cmd` and the like off, older ones do not.
            is_certain = given is not None or not re.search(r"_(command|cmd|group|grp)$", node.name)
            owner = "" if owner in ("click", "asyncclick") else owner
            needs_input = not is_certain or _needs_input(node, module)
            name = given or node.name.replace("_", "-")
            module.commands.append(Command(node.name, owner, name, verb == "group", needs_input))


def _needs_input(node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module) -> bool:
    """Whether it cannot be started without an argument."""
    decorators = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    if any(dotted(each.func).endswith("argument") for each in decorators):
        return True
    if any(getattr(module.keyword(each, "required"), "value", False) for each in decorators):
        return True
    if any(dotted(each.func).endswith("option") for each in decorators):
        return False  # with click, each argument is the option of a decorator
    arguments = [each for each in node.args.args if not ast.unparse(each.annotation or node.args).endswith("Context")]
    required = [each for each in node.args.defaults if "..." in ast.unparse(each)]
    return len(arguments) > len(node.args.defaults) or bool(required)


def _note_compared(operands: list[ast.expr], module: Module) -> None:
    texts: set[str] = set()
    others: list[ast.expr] = []
    for operand in operands:
        elements = operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]
        found = [literal(element) for element in elements]
        texts.update(filter(None, found))
        others += [operand] if found == [None] else []
    if any("localhost" in text or "127." in text for text in texts):
        module.compared += [(other, texts) for other in others]


def _note_uses(statement: ast.stmt, module: Module) -> None:
    """The names in a statement of the module itself."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            module.uses.setdefault(statement.name, set()).update(_names(statement))
            if statement.decorator_list:
                module.uses.setdefault(ON_IMPORT, set()).add(statement.name)
        case ast.If() if _runs(statement):
            module.uses.setdefault(ON_RUN, set()).update(_names(statement))
        case ast.Import() | ast.ImportFrom():
            pass
        case _:
            module.uses.setdefault(ON_IMPORT, set()).update(_names(statement))


def _names(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and (name := dotted(node)):
            yield name


def _note_default(call: ast.expr, module: Module) -> None:
    """Of `getenv("NAME", default)`, and of whatever else gets it in this way."""
    match call:
        case ast.Call(args=[ast.Constant(value=str(name)), default, *_]) if VARIABLE.fullmatch(name):
            module.defaults.setdefault(name, default)
        case ast.Call(args=[ast.Constant(value=str(name))], keywords=[ast.keyword("default", default)]):
            module.defaults.setdefault(name, default)


def _routes(call: ast.Call) -> Iterator[Route]:
    owner, _, verb = dotted(call.func).rpartition(".")
    path = literal(call.args[0]) if call.args else None
    if path is not None and verb in _VERBS:
        yield Route(owner, path)


def _runs(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__"`, or `asyncio.run(main())` for everybody who imports it."""
    if isinstance(statement, ast.If):
        return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test))
    if isinstance(statement, ast.Try | ast.With):
        return any(map(_runs, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    is_loop = isinstance(call.func, ast.Attribute) and call.func.attr == "run_until_complete"
    return is_loop or _RUNS.fullmatch(dotted(call.func)) is not None
