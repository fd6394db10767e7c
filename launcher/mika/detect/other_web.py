"""The web apps in other languages than Python, frontends among them, and the lines that run them."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mika.detect import go_web, listening, naming, nest, node_programs, node_values, package_json
from mika.detect.environments import Tooling, node_tooling
from mika.detect.languages import GO, NODE, Texts
from mika.detect.listening import Port
from mika.frozen import frozen
from mika.quoting import quoted
from mika.wording import Text, _, joined, listed

_FRONTENDS = {
    "vite": "Vite",
    "next": "Next.js",
    "nuxt": "Nuxt",
    "astro": "Astro",
    "react-scripts": "React",
    "@sveltejs/kit": "SvelteKit",
    "@angular/core": "Angular",
    "@vue/cli-service": "Vue",
    "@remix-run/dev": "Remix",
    "gatsby": "Gatsby",
    "parcel": "Parcel",
    "webpack-dev-server": "webpack",
}
_SERVERS = {"express": "Express", "fastify": "Fastify", "@nestjs/core": "NestJS", "koa": "Koa", "hono": "Hono"}
_SCRIPTS = ("dev", "start", "serve", "server", "api", "web")
_OF_SERVER = re.compile(
    r"(?:dev|start|serve|run)[:.-](?:api|server|web|http|backend)|(?:api|server|web|http|backend)[:.-](?:dev|start|serve)"
)
"""Names that scripts have where others run the workers."""
_OF_FRONTEND = re.compile(r"dev(?:[:.-](?:next|nuxt|vite|web|ui|client|frontend|app))?")
_SEVERAL = re.compile(r"\b(concurrently|npm-run-all|run-[ps]|turbo|lerna)\b")
"""A script with one of these runs others at once, perhaps also the workers."""
_PRIVILEGED = 1023
"""Linux reserves the ports up to this one for root (`net.ipv4.ip_unprivileged_port_start`)."""
_FOLDER = {"npm": "--prefix", "pnpm": "--dir", "yarn": "--cwd"}


@frozen
class App:
    """`path` is the file that says what it is. `cwd` is empty for the project's folder."""

    kind: str
    path: str
    name: str
    command: str
    environment: Tooling
    cwd: str = ""
    port: Port | None = None
    note: str = ""
    watch: tuple[str, ...] = ()
    is_server: bool = True
    """False for a frontend."""

    @property
    def can_run(self) -> bool:
        """Whether it is a server at a known port that any user may open."""
        return self.is_server and self.port is not None and self.port.number > _PRIVILEGED

    @property
    def line(self) -> str:
        return f"{self.name}: {self.command}"

    @property
    def env(self) -> dict[str, str]:
        return {self.port.variable: str(self.port.number)} if self.port is not None and self.port.variable else {}


def find(texts: Texts, variables: Mapping[str, str], taken: set[str], started: Sequence[str]) -> Iterator[App]:
    """In `taken` are the names of processes, to which theirs are added; `started` are the programs of workers."""
    for app in (*_node(texts, variables, started), *_told_apart([*_go(texts, started)])):
        name = app.name
        while name in taken:
            name = f"{name}-js" if app.path.endswith("package.json") else f"{name}-web"
        taken.add(name)
        yield replace(app, name=name)


def left_out(app: App) -> Text:
    """What to add to the Procfile and to mika.toml to run it."""
    options = []
    if app.cwd:
        options.append(f"cwd = {json.dumps(app.cwd, ensure_ascii=False)}")
    if app.port is not None:
        options.append(f'ready = "tcp:{app.port.number}"')
        options += [f'env = {{ {name} = "{value}" }}' for name, value in app.env.items()]
    text = (
        _(
            "the {kind} app of {path}: left out; to run it, add `{line}` to the Procfile, and to mika.toml, below"
            " `[process.{name}]`, {options}",
            kind=app.kind,
            path=app.path,
            line=app.line,
            name=app.name,
            options=listed(f"`{option}`" for option in options),
        )
        if options
        else _(
            "the {kind} app of {path}: left out; to run it, add `{line}` to the Procfile",
            kind=app.kind,
            path=app.path,
            line=app.line,
        )
    )
    return joined("", [text, _(" ({note})", note=app.note)]) if app.note else text


def _named(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


# --- Node -------------------------------------------------------------------------------------------------------------


def _node(texts: Texts, variables: Mapping[str, str], started: Sequence[str]) -> Iterator[App]:
    """Without those that a worker's program serves, too."""
    for path in texts.files.named(r"package\.json"):
        manifest, folder = texts.files.text(path), posixpath.dirname(path)
        scripts, packages = node_programs.usable_scripts(manifest), package_json.dependencies(manifest)
        kind = next((title for name, title in (_FRONTENDS | _SERVERS).items() if name in packages), None)
        known = node_programs.known_as(texts, folder) if kind in _SERVERS.values() else {}
        if kind == "NestJS" and (several := nest.applications(texts.files, folder, known)):
            yield from _of_nest(texts, variables, started, path, several)
            continue
        usual = [script for script in _SCRIPTS if script in scripts]
        if kind in _SERVERS.values():
            usual += sorted(filter(_OF_SERVER.fullmatch, scripts))
        else:  # what is built may not be there, and may be old
            usual = sorted(filter(_OF_FRONTEND.fullmatch, scripts), key=len) + usual
        if kind is None or not usual:
            continue
        tools = node_tooling(texts.files, folder)
        script = next((script for script in usual if not _SEVERAL.search(scripts[script])), usual[0])
        if node_programs.program(scripts[script], known) in started:  # `start` of the worker, beside `server`
            own = (one for one in usual if node_programs.program(scripts[one], known) not in (None, *started))
            script = next(own, script)
        base = _named(posixpath.basename(folder))
        option = _FOLDER.get(tools.tool, "")
        place = f" {option} {quoted(folder)}" if folder and option else ""
        cwd = "" if option else folder
        app = App(kind, path, base or "frontend", f"{tools.tool}{place} run {script}", tools, cwd, is_server=False)
        if kind in _SERVERS.values():
            script = _unwatched(scripts, script, known)
            app = replace(app, name=base or "web", command=f"{tools.tool}{place} run {script}", is_server=True)
            source = node_programs.program(scripts[script], known)
            source = source or nest.started(texts.files, folder, scripts[script], known)
            if (source or (known.get(nest.ENTRY) if kind == "NestJS" else None)) in started:
                continue
            note = node_programs.needs_build(manifest, f"{tools.tool} run {script}", tools.tool)
            app = _server(texts, variables, replace(app, note=note), scripts[script], source)
        yield app


def _of_nest(
    texts: Texts, variables: Mapping[str, str], started: Sequence[str], path: str, applications: Mapping[str, str]
) -> Iterator[App]:
    """The applications of a monorepo of Nest, each by the script that starts it, or by its name."""
    folder, tools = posixpath.dirname(path), node_tooling(texts.files, posixpath.dirname(path))
    scripts, known = node_programs.usable_scripts(texts.files.text(path)), node_programs.known_as(texts, folder)
    for name, entry in applications.items():
        own = [
            script
            for script, command in scripts.items()
            if nest.started(texts.files, folder, command, known) == entry
            and not node_programs.watches(script, command)
            and not _SEVERAL.search(command)
        ]
        script = min(own, key=len, default="")
        command = f"{tools.tool} run {script}" if script else nest.command(texts.files, folder, entry, known)
        if entry not in started and command:
            app = App("NestJS", path, _named(name), command, tools, cwd=folder)
            yield replace(_server(texts, variables, app, scripts.get(script, ""), entry), path=entry)


def _server(texts: Texts, variables: Mapping[str, str], app: App, script: str, source: str | None) -> App:
    """With its port, and without a build before, if the `source` that `script` starts runs as it is."""
    manifest, folder = texts.files.text(app.path), posixpath.dirname(app.path)
    port = None
    if source:

        def written(expression: str) -> str:
            found = node_values.written(texts, source, expression)
            return found[1] if found is not None and found[0] != source else ""

        port = listening.in_node(texts.text(source), variables, written)
    if port is not None and port.variable and f"{port.variable}=" in script:
        port = None
    app = replace(app, port=port, watch=texts.watched(NODE, folder))
    if source is None or not app.note or app.kind == "NestJS":  # most runners do not emit the types that Nest injects
        return app
    runner, settings = node_programs.runner(texts, source, manifest), texts.files.text(f"{folder or '.'}/tsconfig.json")
    if runner not in ("", "node") and '"paths"' not in settings:  # aliases, which few runners resolve
        command = f"{runner} {quoted(posixpath.relpath(source, folder or '.'))}"
        return replace(app, command=command, cwd=folder, note="")
    return app


def _unwatched(scripts: Mapping[str, str], script: str, known: Mapping[str, str]) -> str:
    """A script that runs the same program as this one without a watcher, behind which no crash is seen; else this."""
    if not node_programs.watches(script, scripts[script]):
        return script
    own = node_programs.program(scripts[script], known)
    for other in sorted(scripts, key=lambda name: (name not in _SCRIPTS, len(name))):
        command = scripts[other]
        if node_programs.watches(other, command) or _SEVERAL.search(command):
            continue
        program = node_programs.program(command, known)
        is_same = program == own if own and program else other in _SCRIPTS and not program
        if is_same and node_programs.runs(command):
            return other
    return script


# --- Go ---------------------------------------------------------------------------------------------------------------


def _go(texts: Texts, started: Sequence[str]) -> Iterator[App]:
    for one in go_web.find(texts, started):
        watch = tuple(dict.fromkeys(pattern for home in one.homes for pattern in texts.watched(GO, home)))
        yield App(one.kind, one.path, _named(one.word), one.command, Tooling("go"), one.home, one.port, watch=watch)


def _told_apart(apps: Sequence[App]) -> Iterator[App]:
    """With their names."""
    names = naming.of_folders([posixpath.dirname(app.path) for app in apps if not app.name])
    for app in apps:
        if app.name:
            yield app
            continue
        name = re.sub(r"[^a-z0-9_]+", "-", names[posixpath.dirname(app.path)].lower()).strip("-")
        yield replace(app, name=name or "web")
