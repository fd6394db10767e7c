"""The web apps of a Python project: what serves them, on which port, and where they say that they are well."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator

from mika.detect import django, reach
from mika.detect.documented import Said
from mika.detect.fields import dotted, literal
from mika.detect.modules import ON_IMPORT, Module
from mika.detect.sources import Sources, Start, Value
from mika.frozen import frozen
from mika.quoting import quoted

_ASGI = "python -m uvicorn {app} --host 127.0.0.1 --port {port}"
_SERVERS = {
    "fastapi": _ASGI,
    "starlette": _ASGI,
    "litestar": _ASGI,
    "quart": "python -m hypercorn {app} --bind 127.0.0.1:{port}",
    "sanic": "python -m sanic {app} --host 127.0.0.1 --port {port}",
    "flask": "python -m flask --app {app} run --host 127.0.0.1 --port {port}",
}
_CLASSES = {"FastAPI", "Starlette", "Litestar", "Quart", "Sanic", "Flask"}
SERVERS = {"uvicorn", "hypercorn", "gunicorn", "granian", "waitress"}
"""The packages with which a program serves an app."""
_FACTORIES = ("create_app", "make_app", "get_app", "build_app")
_CONFIG = "uvicorn.Config"
_HEALTH = ("healthz", "health", "readyz", "")
_PLAIN = re.compile(r"(/[\w.~-]+)*/?")  # without a parameter such as {id} or <id>


@frozen
class WebApp:
    """`start.command` has a `{port}` to fill in, unless the program itself decides: then it is `port`.

    `health` is None if no path of it is known to answer.
    """

    module: Module
    name: str
    start: Start
    health: str | None
    port: int | None = None
    variable: str = ""
    """The environment variable that the program takes its port from."""

    @property
    def path(self) -> str:
        return self.module.path

    @property
    def is_program(self) -> bool:
        """Whether its file is run as a program, and not imported by a server."""
        return "{port}" not in self.start.command

    @property
    def variable_name(self) -> str:
        """What the app is called in its module."""
        return self.name.partition(":")[2]


def find(sources: Sources, said: list[Said]) -> list[WebApp]:
    """Every app at the top level of a module, and every manage.py. Apps that another one includes are not listed."""
    apps = [app for module in sources.entries for app in _apps(sources, module, said)]
    reach = {app.path: {module.path for module in sources.reachable(app.module)} for app in apps}
    return [
        app
        for app in apps
        if not any(app.path in paths and other not in reach[app.path] for other, paths in reach.items())
    ]


def _apps(sources: Sources, module: Module, said: list[Said]) -> Iterator[WebApp]:
    is_django = any(source.startswith("django") for source, _ in module.imports.values())
    if posixpath.basename(module.path) == "manage.py" and is_django:
        start = Start(posixpath.dirname(module.path), "python manage.py runserver 127.0.0.1:{port} --noreload")
        health = _health(django.health_paths(sources, module))
        yield WebApp(module, "manage.py", start, health, _documented_port(sources, module, "runserver", said))
        return
    made = [
        (name, kind)
        for name, call in module.made
        if (kind := _kind(sources, module, dotted(call.func))) and not _is_for_worker(sources, module, name, call)
    ]
    factories = [
        (name, kind) for name in module.factories if name in _FACTORIES and (kind := _kind(sources, module, name))
    ]
    for name, kind in made[-1:] or factories[:1]:
        served, owners = name, {name, "app"} if not made else {name}
        for later, call in module.made:  # app = Middleware(app): the last name that wraps it is what is served
            given = {dotted(argument) for argument in (*call.args, *(k.value for k in call.keywords))}
            if kind != "flask" and later.endswith(("app", "application", "asgi")) and not owners.isdisjoint(given):
                served = later
                owners.add(later)
        health = _health({path for owner in owners for path in _paths(sources, module, owner)})
        yield _served(sources, module, served, kind, health, said)


def _is_for_worker(sources: Sources, module: Module, name: str, made: ast.Call) -> bool:
    """Whether the program of a worker makes the app of another file, for its settings and its context alone."""
    packages = [source for source, _name in module.imports.values()]
    serves = any(package.partition(".")[0] in SERVERS for package in packages)
    serves = serves or any(dotted(call.func) == f"{name}.run" for call in module.calls)
    is_worker = module.runs and "temporalio.worker" in packages
    return is_worker and not serves and sources.imported(module, dotted(made.func).partition(".")[0])[0] is not None


def _kind(sources: Sources, module: Module, called: str, depth: int = 0) -> str | None:
    """The framework of what a call makes: of a class, or of a function that makes an app."""
    framework, _, name = module.source_of(called).rpartition(".")
    if name in _CLASSES and framework.partition(".")[0] in _SERVERS:
        return framework.partition(".")[0]
    if depth > 2 or not called or sources.files.is_late():
        return None
    if called in module.factories:
        kinds = (_kind(sources, module, inner, depth + 1) for inner in sorted(module.factories[called]))
        return next(filter(None, kinds), None)
    other, attribute = sources.imported(module, called.partition(".")[0])
    attribute = attribute or called.rpartition(".")[2]
    return _kind(sources, other, attribute, depth + 1) if other is not None and attribute in other.factories else None


def _served(sources: Sources, module: Module, name: str, kind: str, health: str | None, said: list[Said]) -> WebApp:
    root, dotted_name = sources.name_of(module)
    app = f"{dotted_name}:{name}"
    own = _own_port(sources, module)
    port = _documented_port(sources, module, name, said)
    if own is not None and own.text and port is None and (start := sources.start_of(module)):
        return WebApp(module, app, start, health, int(own.text), own.variable)
    if port is None and (given := _given_port(sources, module)) is not None:
        port = int(given.text or 0)
    command = _SERVERS[kind].replace("{app}", quoted(app))
    if name in _FACTORIES and _SERVERS[kind] == _ASGI:
        command += " --factory"
    start = Start.at(root, sources.files.home_of(module.path), command)
    return WebApp(module, app, start, health, port)


def _documented_port(sources: Sources, module: Module, name: str, said: list[Said]) -> int | None:
    """The port of the first text, not about a container, that starts this app; in the same part, its name suffices."""
    home = sources.files.home_of
    for one in said:
        is_it = one.means(module.path, name) or (name in one.words and home(one.where) == home(module.path))
        if is_it and one.port is not None and not one.is_in_container:
            return one.port
    return None


def _own_port(sources: Sources, module: Module) -> Value | None:
    """The port of a program that serves; None if it reloads: mika does not run it, since no crash is seen then."""
    call = _serving(module)
    reloads = call is not None and getattr(module.keyword(call, "reload"), "value", False)
    return None if reloads else _given_port(sources, module)


def _given_port(sources: Sources, module: Module) -> Value | None:
    call = _serving(module)
    value = sources.value(module.keyword(call, "port"), module) if call is not None else Value()
    return value if (value.text or "").isdecimal() else None


def _serving(module: Module) -> ast.Call | None:
    """`uvicorn.run(app, port=8000)` or `app.run(port=8000)`."""
    for call in module.calls:
        is_server = dotted(call.func).endswith("run") or module.source_of(dotted(call.func)) == _CONFIG
        if is_server and module.keyword(call, "port") is not None:
            return call
    return None


def served_by(
    sources: Sources, program: Module, start: Start, apps: Iterable[WebApp]
) -> tuple[WebApp, Value | None] | None:
    """The one of the `apps` that a program in another file serves, and its port as far as that is known."""
    if program.commands:  # one may serve, another one work
        return None
    scripts = {} if program.runs else sources.scripts_of(program)
    for part, call in _servings(sources, program, [function for function, own in scripts.items() if own == start]):
        given = literal(call.args[0]) or ""
        other, attribute = sources.imported(part, dotted(call.args[0]))
        if given:
            place, _, attribute = given.partition(":")
            other = sources.find(place, part.path)
        elif other is None and dotted(call.args[0]) in part.values:
            other, attribute = part, dotted(call.args[0])
        for app in apps:
            if other is app.module and app.variable_name == attribute and app.module is not program:
                return app, _own_port(sources, part)
    return None


def _servings(sources: Sources, program: Module, begins: list[str]) -> Iterator[tuple[Module, ast.Call]]:
    """The calls that serve an app, in a program and in what it calls, each with its module.

    `begins`: the functions that it begins with, if it is not the whole file.
    """
    places = [(program.path, ON_IMPORT), *reach.reached(sources, program, as_program=True)]
    if begins:
        places = list(reach.reached_from(sources, [(program.path, function) for function in begins]))
    for path, name in places:
        part = sources.module(path)
        if part is None:
            continue
        serves = [call for call in part.calls if part.source_of(dotted(call.func)) in ("uvicorn.run", _CONFIG)]
        if (part is program and not begins) or not part.uses.get(name, set()).isdisjoint(
            dotted(call.func) for call in serves
        ):
            yield from ((part, call) for call in serves if call.args)


def _paths(sources: Sources, module: Module, owner: str, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """The paths of an app or router, with those of the routers that it includes."""
    own = next((call for name, call in module.made if name == owner), None)
    prefix += _prefix(own) if depth else ""
    factory, attribute = sources.imported(module, dotted(own.func)) if own is not None else (None, "")
    if factory is not None and attribute in factory.factories:
        yield from _paths(sources, factory, "app", prefix, depth + 1)
    for route in module.routes:
        if route.owner in (owner, "") or route.owner == f"self.{owner}":
            yield prefix + route.path
    for call in module.calls if depth < 4 and not sources.files.is_late() else ():
        including, _, verb = dotted(call.func).rpartition(".")
        if verb in ("include_router", "register_blueprint") and including == owner and call.args:
            variable, _, rest = dotted(call.args[0]).partition(".")
            for name in module.loops.get(variable, [variable]):
                inner = ".".join(filter(None, (name, rest)))
                other, attribute = sources.imported(module, inner.partition(".")[0])
                place, router = (module, inner) if other is None else (other, attribute or inner.partition(".")[2])
                yield from _paths(sources, place, router, prefix + _prefix(call), depth + 1)


def _prefix(call: ast.Call | None) -> str:
    keywords = call.keywords if call is not None else ()
    return next((literal(k.value) or "" for k in keywords if k.arg in ("prefix", "url_prefix")), "")


def _health(paths: set[str]) -> str | None:
    """The best path to ask: the usual names first, and those without a folder before those with one."""
    for name in _HEALTH:
        found = [path for path in paths if path.strip("/").rpartition("/")[2] == name and _PLAIN.fullmatch(path)]
        if found:
            return min(found, key=lambda path: (path.count("/"), path)) or "/"
    return None
