"""The workers of a Python project: what starts them, and which task queues they poll."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from mika.config.process_options import Restart
from mika.detect import clis, identity, passed, reach
from mika.detect.fields import dotted
from mika.detect.modules import LARGEST_SOURCE, Module
from mika.detect.sources import Sources, Start, Value
from mika.detect.web import SERVERS, WebApp
from mika.frozen import frozen
from mika.wording import Text, _, listed

_ANYTHING = "**"
"""In place of an argument's name: whatever there is in a mapping."""
_TYPES = {"workflows": "workflow", "activities": "activity"}
_REGISTERING = {*_TYPES, "plugins", "nexus_service_handlers", _ANYTHING}
_LASTING = {"wait", "sleep", "sleep_forever", "Future", "serve", "run", "run_forever", "input"}
_PLAIN = re.compile(r"(.*[_-])?(worker|consumer)s?([_-].*)?")


@frozen
class Worker:
    """A program that polls `queues` of Temporal; without any, it is a worker of something else.

    `start` is None for one that runs inside a web app. `kinds` are the arguments that say what it registers,
    such as `workflows` and `activities`.
    """

    path: str
    start: Start | None
    queues: tuple[Value, ...] = ()
    kinds: frozenset[str] = frozenset()
    types: tuple[tuple[str, str], ...] = ()
    """The queues that it polls for one type of tasks only, each with this type: `workflow` or `activity`."""
    watch: tuple[str, ...] = ()
    """What it is made of, if that is not Python."""
    has_identity: bool = False
    """It polls under a name that mika does not know."""
    is_once: bool = False
    """It is there only while its program waits for a workflow, as in an example."""
    note: str = ""
    """What to know before its start."""
    choices: tuple[tuple[str, str], ...] = ()
    """What a word of its command, or a variable, may be that decides the queue, each with that."""
    label: str = ""
    """By what it is named, as if that were its path, if several have the same one."""
    variable_name: str = ""
    """Unlike a web app, a program has no name in its module."""

    @property
    def known(self) -> tuple[str, ...]:
        """The names of the queues, as far as they are known."""
        return tuple(dict.fromkeys(queue.text for queue in self.queues if queue.text))

    @property
    def variable(self) -> str:
        """The first variable that decides a queue; empty if there is none."""
        return next((queue.variable for queue in self.queues if queue.variable), "")

    @property
    def restart(self) -> Restart:
        return "never" if self.is_once else "always"

    def chosen(self, words: Iterable[str]) -> tuple[Value, ...]:
        """The queues, of which one of the words may have chosen one."""
        choices = dict(self.choices)
        named = {choices[word] for word in words if word in choices}
        return (Value(named.pop()),) if len(named) == 1 else self.queues

    def ready(self, queues: Iterable[str]) -> str:
        """The rule for a worker that polls `queues`."""
        if self.is_once:
            return "none"
        types = dict(self.types)
        rules = (f"worker:{queue}/{types[queue]}" if queue in types else f"worker:{queue}" for queue in queues)
        return ", ".join(rules) or "none"


def find(sources: Sources, apps: Sequence[WebApp]) -> list[Worker]:
    """Every worker; those that run inside one of the web `apps` have no start of their own."""
    app_paths = {app.path for app in apps}
    programs = [(m, start) for m in sources.entries if m.path not in app_paths and (start := sources.start_of(m))]
    makers = {module.path: module for module in sources.entries if _workers_in(module)}
    reached: dict[str, set[reach.Place]] = {}
    started: dict[str, tuple[Start | None, list[Module]]] = {}
    for maker in makers.values():
        users = [(module, start) for module, start in programs if maker in sources.reachable(module)]
        users = _with_scripts(sources, _with_commands(sources, users, maker), maker)
        own = [(module, start) for module, start in users if module is maker] or _starting(sources, users, maker)
        for module, start in own:
            started.setdefault(module.path, (start, []))[1].append(maker)
        if own:
            continue
        is_inside = False
        for app in apps:
            if app.path not in reached:
                reached[app.path] = reach.reached(sources, app.module, as_program=app.is_program)
            makes = _makes(maker, reached[app.path])
            if makes or (program := _program_beside(sources, app, maker)) is not None:
                started.setdefault(app.path, (None if makes else program, []))[1].append(maker)
                is_inside = True
        for module, start in users if not is_inside else ():  # no names tell whether they make it
            started.setdefault(module.path, (start, []))[1].append(maker)
    workers = [_worker(sources, path, start, made) for path, (start, made) in started.items()]
    plain = [
        Worker(module.path, start)
        for module, start in programs
        if _is_plain(module) and not _is_another_start(sources, module, makers.keys() | started.keys())
    ]
    lasting = [worker for worker in workers if not worker.is_once]
    return (lasting or workers) + plain


def _is_another_start(sources: Sources, module: Module, known: Collection[str]) -> bool:
    """Whether a program runs one that is `known`: it imports it, or starts it as a process."""
    if any(part.path in known for part in sources.reachable(module)):
        return True
    starts = any(source.partition(".")[0] in ("subprocess", "multiprocessing") for source, _ in module.imports.values())
    text = sources.files.text(module.path, LARGEST_SOURCE) if starts else ""
    named = (name for path in known for name in (path, path.removesuffix(".py").replace("/", ".")))
    return any(re.search(rf"""["'/]{re.escape(name)}["']""", text) for name in named)


def unused(sources: Sources, workers: Iterable[Worker]) -> list[str]:
    """The files that make a worker which nothing starts, if there is no other."""
    return [] if any(w.queues for w in workers) else [m.path for m in sources.entries if _workers_in(m)]


def _makes(maker: Module, reached: set[reach.Place]) -> bool:
    """Whether one of the places that are `reached` makes the worker of a module."""
    names = (name for path, name in reached if path == maker.path)
    return any(_is_worker(maker, used) for name in names for used in maker.uses.get(name, ()))


def _starting(sources: Sources, users: Sequence[tuple[Module, Start]], maker: Module) -> Sequence[tuple[Module, Start]]:
    """Of the programs that import a maker, those that make its worker."""
    return [(module, start) for module, start in users if _makes(maker, _as_program(sources, module))]


def _as_program(sources: Sources, module: Module) -> set[reach.Place]:
    """What a program reaches; one that is installed begins in a function."""
    if module.runs:
        return reach.reached(sources, module, as_program=True)
    return reach.reached_from(sources, [(module.path, name) for name in module.uses])


def _with_commands(
    sources: Sources, users: Sequence[tuple[Module, Start]], maker: Module
) -> list[tuple[Module, Start]]:
    """The programs of a maker; of those that have commands, with the one that makes the worker."""
    plain = [(module, start) for module, start in users if not module.commands]
    having = [module for module in sources.entries if module.commands and maker in sources.reachable(module)]
    found = ((module, clis.start_of(sources, module, lambda reached: _makes(maker, reached))) for module in having)
    return plain + [(module, start) for module, start in found if start is not None]


def _with_scripts(sources: Sources, users: Sequence[tuple[Module, Start]], maker: Module) -> list[tuple[Module, Start]]:
    """The programs of a maker; one that is installed for several functions, for that which makes the worker."""
    return [(module, _script_for(sources, module, maker) or start) for module, start in users]


def _script_for(sources: Sources, module: Module, maker: Module) -> Start | None:
    scripts = {} if module.runs or module.commands else sources.scripts_of(module)
    making = [
        start
        for function, start in scripts.items()
        if _makes(maker, reach.reached_from(sources, [(module.path, function)]))
    ]
    return next((start for start in making if "worker" in start.command), next(iter(making), None))


def _program_beside(sources: Sources, app: WebApp, maker: Module) -> Start | None:
    """What starts the file of an app as a program, if that runs the worker alone."""
    serves = any(source.partition(".")[0] in SERVERS for source, _ in app.module.imports.values())
    if serves or not _makes(maker, reach.reached(sources, app.module, as_program=True)):
        return None
    return sources.start_of(app.module)


def _is_worker(module: Module, name: str) -> bool:
    return re.fullmatch(r"temporalio\.worker\.(\w+\.)?Worker", module.source_of(name)) is not None


def without_identity(path: str, ready: str) -> Text:
    """What a worker lacks for its rule."""
    return _(
        "{path} gives its worker an identity of its own, so that mika cannot recognise it: with `{given}` and"
        ' `ready = "{ready}"` it waits until it polls',
        path=path,
        given=identity.given(path),
        ready=ready,
    )


def _workers_in(module: Module) -> list[int]:
    """The positions of the calls that make a worker of Temporal."""
    return [
        number
        for number, call in enumerate(module.calls)
        if _is_worker(module, dotted(call.func)) and not _has_test_server(module, call)
    ]


def _has_test_server(module: Module, call: ast.Call) -> bool:
    """Whether the client of a worker is that of a `WorkflowEnvironment`, which has a server of its own."""
    client = call.args[0] if call.args else module.keyword(call, "client")
    is_testing = any(source.startswith("temporalio.testing") for source, _name in module.imports.values())
    return is_testing and dotted(client).endswith(".client")


def _worker(sources: Sources, path: str, start: Start | None, makers: Sequence[Module]) -> Worker:
    queues: dict[Value, set[str]] = {}
    choices: dict[str, str] = {}
    for maker in makers:
        for number in _workers_in(maker):
            call = maker.calls[number]
            given = _queue_of(maker, call)
            choices |= passed.choices(sources, given, maker)
            for value in passed.values(sources, given, maker, sources.module(path)):
                for queue in _each(value):
                    queues.setdefault(queue, set()).update(keyword.arg or _ANYTHING for keyword in call.keywords)
    kinds = {queue: registered & _REGISTERING for queue, registered in queues.items()}
    types = {
        queue.text: _TYPES[min(own)]
        for queue, own in kinds.items()
        if queue.text and len(own) == 1 and own < _TYPES.keys()
    }
    has_identity = any(_has_identity(sources, maker) for maker in makers)
    registered = frozenset().union(*kinds.values())
    made = Worker(path, start, tuple(queues), registered, tuple(types.items()), has_identity=has_identity)
    if start is not None and all(_runs_once(maker) for maker in makers):
        note = _("it runs a workflow and exits: it is started once, and not again")
        made = replace(made, is_once=True, note=note)
    return replace(made, choices=tuple(choices.items())) if not made.known else made


def polls(path: str, queues: Sequence[str], variable: str) -> Text:
    """Why a worker has its rule; `variable` may change its queues."""
    names = listed(queues)
    if not variable:
        return _("{path} polls {queues}", path=path, queues=names)
    return _("{path} polls {queues} ({variable}, or its default)", path=path, queues=names, variable=variable)


def names_in(text: str) -> tuple[str, ...]:
    """The queues of a text; no name has a comma, which a rule has between two."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def _each(value: Value) -> list[Value]:
    """The queues of a value, with the variable that has all of them."""
    return [replace(value, text=name) for name in names_in(value.text or "")] or [value]


def _runs_once(maker: Module) -> bool:
    """Whether all workers of a module are those of `async with Worker(…):` that waits for workflows alone."""
    blocks = [
        node
        for node in maker.blocks
        for item in node.items
        if isinstance(item.context_expr, ast.Call) and _is_worker(maker, dotted(item.context_expr.func))
    ]
    return len(blocks) == len(_workers_in(maker)) > 0 and all(map(_ends, blocks))


def _ends(block: ast.AsyncWith) -> bool:
    """Whether it runs a workflow, and waits for nothing else that may take as long as the program lives."""
    inside = [node for statement in block.body for node in ast.walk(statement)]
    called = {getattr(node.func, "attr", dotted(node.func)) for node in inside if isinstance(node, ast.Call)}
    runs = "execute_workflow" in called or {"start_workflow", "result"} <= called
    return runs and called.isdisjoint(_LASTING) and not any(isinstance(node, ast.While) for node in inside)


def _queue_of(maker: Module, call: ast.Call) -> ast.expr | None:
    """Its task queue, also as an item of something that is unpacked with `**`."""
    given = maker.keyword(call, "task_queue")
    unpacked = (keyword.value for keyword in call.keywords if keyword.arg is None)
    return given or next((ast.Subscript(one, ast.Constant("task_queue")) for one in unpacked), None)


def _has_identity(sources: Sources, maker: Module) -> bool:
    """Whether its workers or their clients have an identity that is neither mika's nor made of the pid."""
    for call in maker.calls:
        given = maker.keyword(call, "identity")
        is_default = given is None or (isinstance(given, ast.Constant) and given.value is None)
        if is_default or not (_is_worker(maker, name := dotted(call.func)) or name.endswith(".connect")):
            continue
        is_ours = sources.value(given, maker).variable == "MIKA_WORKER_IDENTITY"
        return not is_ours and "getpid" not in ast.unparse(given or call)
    return False


def _is_plain(module: Module) -> bool:
    """A program that is called a worker, of whatever it may be."""
    stem = posixpath.basename(module.path).removesuffix(".py")
    folder = posixpath.basename(posixpath.dirname(module.path))
    is_named = _PLAIN.fullmatch(folder if stem in ("main", "__main__", "run") else stem) is not None
    return is_named and not any(source.startswith("temporalio") for source, _ in module.imports.values())
