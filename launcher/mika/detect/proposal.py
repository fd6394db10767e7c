"""What mika would run in a project that has no Procfile: the processes, what is left out, and what cannot be known."""

from __future__ import annotations

import itertools
import platform
import posixpath
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mika.config import compose_file
from mika.config.search import misnamed
from mika.detect import (
    arguments,
    bots,
    compose,
    compose_text,
    composed,
    documented,
    environments,
    leftovers,
    namespaces,
    naming,
    other_web,
    preparation,
    programs,
    servers,
    switches,
    variants,
    web,
    workers,
)
from mika.detect.addresses import Target
from mika.detect.environments import tooling
from mika.detect.files import Files
from mika.detect.findings import ALL, UNKNOWN_QUEUE, Guess, Process, Proposal, Question
from mika.detect.languages import Texts
from mika.detect.modules import Module
from mika.detect.servers import Servers
from mika.detect.sources import Sources
from mika.procfile import entries
from mika.wording import _, listed

_YES, _NO = "yes", "no"
_MOST_EXAMPLES = 4


def propose(
    root: Path, variables: Mapping[str, str], ports: tuple[int, int], answers: Mapping[str, str] | None = None
) -> Proposal:
    """Read the project in `root`, with 2 s of the CPU at most; nothing of it is imported or run.

    `variables` are those that its processes will have; `ports` are those of the API and of Temporal.
    """
    return _Proposer(root, variables, ports, answers or {}).proposal()


_Found = TypeVar("_Found", web.WebApp, workers.Worker)


class _Proposer:
    def __init__(
        self, root: Path, variables: Mapping[str, str], ports: tuple[int, int], answers: Mapping[str, str]
    ) -> None:
        self._files, self._compose = Files(root), compose_text.load(root, variables)
        self._said = documented.documented(self._files)
        self._sources, self._variables = Sources(self._files, variables), variables
        self._answers = answers
        self._texts = Texts(self._files, variables)
        self._services = self._compose.entries if self._compose is not None else ()
        services = [service.name for service in self._services]
        self._servers = Servers(self._sources, self._texts, variables, ports[1], services)
        self._served: dict[str, str] = {}
        """By the path of a worker: that of the web app that it serves, too."""
        self._elsewhere: dict[str, Target | None] = {}
        """By the name of a process: the Temporal server that it connects to, if that is on another machine."""
        self._first_port = ports[0]
        self._ports: set[int] = set()
        self._settings: dict[str, Guess] = {}
        self._questions: list[Question] = []
        self._notes = misnamed(root, "Procfile")
        self._has_worker = False

    def proposal(self) -> Proposal:
        apps = web.find(self._sources, self._said)
        every = workers.find(self._sources, apps)
        inside = {worker.path: worker for worker in every if worker.start is None}
        texts = self._texts
        others = programs.find(texts, self._said)
        started = composed.as_composed(self._files, self._services, [one for one in every if one.start is not None])
        started = variants.as_services(started, self._services, self._said, self._sources, self._variables)
        own = [*arguments.given(started, self._said, self._sources), *others.workers]
        self._has_worker = bool(own)
        self._choose_backend(has_other_sdk=bool(others.workers or others.notes) or any(texts.users()))
        self._note_port()
        self._note_namespace()
        apps = self._not_served(apps, arguments.without(own, every))
        apps_for = self._documented(apps, lambda app: self._files.home_of(app.path))
        # Two programs on one queue may share the work: one has the workflows, the other one the activities.
        workers_for = self._documented(
            own, lambda one: (one.label, *((one.queues, one.kinds) if one.known else (one.path,)))
        )
        taken = {*naming.RESERVED, *compose.reserved(self._services)}
        names = naming.of([app.path for same in apps_for for app in same], "web", taken)
        called = naming.of([one.label or one.path for same in workers_for for one in same], "worker", taken)
        kept: list[Process] = []
        for same_app in apps_for:
            kept += self._asked("web", [self._web(app, names[app.path], inside.get(app.path)) for app in same_app])
        for same_work in workers_for:
            kept += self._asked("worker", [self._worker(one, called[one.label or one.path]) for one in same_work])
        deciding = {queue.variable for worker in own for queue in worker.queues if queue.variable}
        kept_apps = {names[app.path]: app.path for same in apps_for for app in same}
        kept = variants.told_alike(kept, kept_apps, deciding, self._sources)
        kept = self._prepared(self._here(kept), taken)
        self._notes += others.notes
        left_out: list[other_web.App] = []
        for other in other_web.find(texts, self._variables, taken, [worker.path for worker in others.workers]):
            if other.can_run and other.port is not None and other.port.number not in self._ports:
                kept.append(self._other_web(other, other.port.number))
            else:
                left_out.append(other)
        self._notes += map(other_web.left_out, left_out)
        run = {app.path for app in apps} | {worker.path for worker in own}
        self._notes += bots.left_out(self._sources, run, taken)
        self._notes += self._servers.notes()
        self._notes += environments.in_other_places((process.environment for process in kept), self._variables)
        given = self._variables.keys() | {name for process in kept for name in process.env}
        self._notes += leftovers.unset_keys(self._sources, run, given)
        self._notes += leftovers.missing_files(self._files, kept)
        self._note_leftovers(every)
        lines = [other.line for other in left_out if not other.cwd]
        lines += [f"{naming.unique('worker', taken)}: {command}" for command in others.examples]
        example = "" if kept else self._example(lines)
        return Proposal(tuple(kept), self._settings, tuple(self._questions), tuple(self._notes), example)

    def _example(self, lines: Sequence[str]) -> str:
        """Lines of what is here, or at least in its language."""
        names = map(posixpath.basename, (*self._files.python, *self._files.others))
        return "\n".join(lines[:_MOST_EXAMPLES]) or entries.example(names)

    def _not_served(self, apps: Sequence[web.WebApp], every: Sequence[workers.Worker]) -> list[web.WebApp]:
        """Without those that a worker serves itself."""
        for worker in every:
            start, module = worker.start, self._sources.module(worker.path) if worker.queues else None
            if start and module and (served := web.served_by(self._sources, module, start, apps)) is not None:
                self._served[worker.path] = served[0].path
                if served[1] is not None:
                    self._ports.add(int(served[1].text or 0))
        return [app for app in apps if app.path not in self._served.values()]

    # --- processes ---------------------------------------------------------------------------------------------------

    def _web(self, app: web.WebApp, name: str, worker: workers.Worker | None) -> Process:
        free = (port for port in itertools.count(self._first_port) if port not in self._ports)
        own, is_set = app.port, "API_PORT" in self._variables and not self._ports
        if own is None and not is_set and (app.variable or not app.is_program):
            own = variants.published_port(app.path, app.variable_name, self._services, self._said)
        port = own if own is not None and (app.is_program or own not in self._ports) else next(free)
        self._ports.add(port)
        env = (
            dict(app.start.env)
            | ({app.variable: str(port)} if app.variable else {})
            | self._told(app.module, has_worker=self._has_worker)
        )
        self._elsewhere[name] = self._servers.elsewhere(app.module)
        queues = worker.known if worker else ()
        if worker is not None and not queues:
            _example, value = leftovers.example_of(self._files, variable := worker.variable)
            queues, env = (workers.names_in(value), env | {variable: value}) if value else (queues, env)
        why = [f"{app.path}: GET {app.health}" if app.health else _("{path}: no health path is known", path=app.path)]
        is_ours = app.port is None and port == self._first_port
        if own == port and not is_ours:
            why.append(_("port {port} is what the project says", port=port))
        if worker is not None:
            why.append(_("the worker of {queues} runs inside it", queues=listed(queues) or _("a queue")))
        return Process(
            name,
            app.start.command.replace("{port}", str(port)),
            f"http://127.0.0.1:{port}{app.health}" if app.health else f"tcp:{port}",
            tooling(self._files, app.path),
            tuple(why),
            queues=queues,
            cwd=app.start.cwd,
            env=env,
            own_port=port if is_ours else 0,
        )

    def _other_web(self, app: other_web.App, port: int) -> Process:
        self._ports.add(port)
        home = posixpath.dirname(app.path) if app.path.endswith("package.json") else app.cwd
        env = app.env | self._servers.told_at(home, app.path)
        why = (_("{path}: {kind}, on port {port}", path=app.path, kind=app.kind, port=port), *filter(None, [app.note]))
        return Process(
            app.name, app.command, f"tcp:{port}", app.environment, why, cwd=app.cwd, env=env, watch=app.watch
        )

    def _worker(self, worker: workers.Worker, name: str) -> Process:
        assert worker.start is not None  # noqa: S101 - those inside of apps are not asked for here
        why, queues = worker.path, worker.known
        module = self._sources.module(worker.path) if worker.path.endswith(".py") else None
        home, found = worker.start.cwd, self._servers
        told = found.told_at(home, worker.path) if module is None else self._told(module, has_worker=False)
        self._elsewhere[name] = found.elsewhere_at(home, worker.path) if module is None else found.elsewhere(module)
        env = dict(worker.start.env) | told
        if queues:
            named = (queue.variable for queue in worker.queues if queue.text and queue.variable)
            why = workers.polls(worker.path, queues, listed(dict.fromkeys(named)))
            if any(queue.text is None for queue in worker.queues):
                self._notes.append(
                    _(
                        "{path} also makes a worker whose task queue is not known: `ready` of {name} waits for"
                        " {queues} alone",
                        path=worker.path,
                        name=name,
                        queues=listed(queues),
                    )
                )
        elif worker.queues:
            example, value = leftovers.example_of(self._files, variable := worker.variable)
            text = value or self._asked_queue(worker, name, variable)
            queues, env = workers.names_in(text), env | ({variable: text} if variable else {})
            if value:
                why = _(
                    "{path} polls {queues}: {variable} of {example}",
                    path=worker.path,
                    queues=value,
                    variable=variable,
                    example=example,
                )
        environment = tooling(self._files, worker.path)
        start, ready = worker.start, worker.ready(queues)
        if worker.has_identity:
            self._notes.append(workers.without_identity(worker.path, ready))
            ready = "none"
        served = self._served.get(worker.path)
        also = _("it serves the web app of {path}, too", path=served) if served else ""
        reasons = tuple(filter(None, [why, worker.note, also]))
        return Process(
            name, start.command, ready, environment, reasons, queues, start.cwd, env, worker.restart, watch=worker.watch
        )

    def _told(self, module: Module, *, has_worker: bool) -> dict[str, str]:
        """What a program in Python must be told of the server, and to use it at all."""
        found = switches.off(self._sources, module, self._variables, has_worker=has_worker)
        self._notes += (switch.note for switch in found if switch.note not in self._notes)
        return self._servers.told(module) | {switch.variable: switch.value for switch in found}

    def _prepared(self, processes: list[Process], taken: set[str]) -> list[Process]:
        """With the migrations that are documented, before what they are for: the processes of the same part."""
        migrations: list[Process] = []
        found = preparation.find(self._files, self._sources, self._said)
        self._notes += preparation.undocumented(self._files, found)
        for one in found:
            if one.is_seed:
                self._notes.append(
                    _(
                        "{file} has `{command}`: not run, since it is perhaps not for every start",
                        file=one.where,
                        command=one.start.command,
                    )
                )
                continue
            why = (_("{file} has it before the start; runs once", file=one.where),)
            environment, name = tooling(self._files, one.path), naming.unique("migrate", taken)
            env = dict(one.start.env)
            migrations.append(
                Process(name, one.start.command, "none", environment, why, (), one.start.cwd, env, restart="never")
            )
        server = () if self._settings.get("MIKA_BACKEND", Guess("", "")).value == "none" else ("temporal",)
        for index, process in enumerate(processes):
            names = tuple(m.name for m in migrations if m.environment == process.environment)
            if names:
                processes[index] = replace(process, needs=(*server, *names))
        return [*migrations, *processes]

    def _asked_queue(self, worker: workers.Worker, name: str, variable: str) -> str:
        """What the user answers; `variable` decides it, and is not set."""
        key = f"queue.{name}"
        if answer := self._answers.get(key, "").strip():
            return answer
        path = f"{name} (`{worker.start.command}`)" if worker.label and worker.start else worker.path
        text = (
            _("which task queue does {path} poll ({variable} is not set)?", path=path, variable=variable)
            if variable
            else _("which task queue does {path} poll?", path=path)
        )
        self._questions.append(Question(key, text))
        return UNKNOWN_QUEUE

    def _here(self, processes: Sequence[Process]) -> list[Process]:
        """Without those that connect to a Temporal server elsewhere, unless the user wants that."""
        kept: list[Process] = []
        for process in processes:
            target = self._elsewhere.get(process.name)
            answer = self._answers.get(key := f"server.{process.name}")
            if target is None:
                kept.append(process)
            elif answer == _YES:
                kept.append(replace(process, ready="none") if process.ready.startswith("worker:") else process)
            elif answer == _NO:
                self._notes.append(
                    _("{path} connects to {address}: left out", path=target.path, address=target.value.text)
                )
            else:
                self._questions.append(Question(key, servers.question(target, process.name), (_YES, _NO)))
                kept.append(process)
        return kept

    def _documented(self, found: Sequence[_Found], same: Callable[[_Found], Hashable]) -> list[list[_Found]]:
        """In groups of those that are for the `same` thing; if the project documents some of a group, those alone."""
        groups: dict[Hashable, list[_Found]] = {}
        for one in found:
            groups.setdefault(same(one), []).append(one)
        for key, group in groups.items():
            told = [one for one in group if any(said.means(one.path, one.variable_name) for said in self._said)]
            groups[key] = told or group
        return list(groups.values())

    def _asked(self, kind: str, candidates: list[Process]) -> list[Process]:
        """The one that is to run; with several, what the user answers, and all of them until then."""
        if len(candidates) == 1:
            return candidates
        names = tuple(process.name for process in candidates)
        key = f"{kind}.{names[0]}"
        answer = self._answers.get(key)
        if answer in (*names, ALL):
            return [process for process in candidates if answer in (process.name, ALL)]
        commands = listed(f"{process.name} (`{process.command}`)" for process in candidates)
        text = _("which {kind} is to run: {commands}, or all?", kind=kind, commands=commands)
        self._questions.append(Question(key, text, (*names, ALL)))
        return candidates

    # --- what is around them -----------------------------------------------------------------------------------------

    def _choose_backend(self, *, has_other_sdk: bool) -> None:
        uses_temporal = has_other_sdk or any(module.uses_temporal for module in self._sources.entries)
        if not uses_temporal and (self._compose is None or any(map(compose.is_temporal, self._compose.entries))):
            self._settings["MIKA_BACKEND"] = Guess("none", _("nothing here uses Temporal"))
        if self._compose is not None and self._compose.error:
            self._notes.append(self._compose.error)
        further_down = list(self._files.named("|".join(map(re.escape, compose_file.NAMES))))
        if self._compose is None and len(further_down) == 1:
            path = further_down[0]
            self._notes.append(
                _("{path} is not beside the Procfile, so it is not used: COMPOSE_FILE={path} in .env", path=path)
            )

    def _note_port(self) -> None:
        """A fixed address of the server decides its port."""
        if (target := self._servers.fixed) is not None:
            port = (target.value.text or "").rpartition(":")[2]
            self._settings["TEMPORAL_PORT"] = Guess(port, servers.why_fixed(target))

    def _note_namespace(self) -> None:
        """The only one that the source has decides it; mika asks its server there whether a worker polls."""
        named = {name: path for path, name in namespaces.found(self._sources, self._texts)}
        if named.keys() <= {"default"} or "TEMPORAL_NAMESPACE" in self._variables:
            return
        if len(named) == 1:
            ((name, path),) = named.items()
            self._settings["TEMPORAL_NAMESPACE"] = Guess(name, _("{path} uses this namespace", path=path))
            return
        for name, path in named.items():
            if name != "default":
                text = _(
                    "{path} uses the namespace {name}, which mika makes if mika.toml has it:"
                    ' `namespaces = ["{name}"]` under `[temporal]`',
                    path=path,
                    name=name,
                )
                self._notes.append(text)

    def _note_leftovers(self, every: Sequence[workers.Worker]) -> None:
        for path in workers.unused(self._sources, every):
            self._notes.append(_("{path} makes a worker, but nothing here starts it as a program", path=path))
        if not any(worker.queues for worker in every):
            self._notes += (
                _("{path} makes a worker: left out, as an example", path=path) for path in self._sources.examples()
            )
        self._notes += leftovers.broken(self._files)
        for path, error in list(self._sources.errors.items())[:3]:
            line = f":{error.lineno}" if error.lineno else ""
            self._notes.append(
                _(
                    "{where}: not valid in Python {version}: {problem}",
                    where=f"{path}{line}",
                    version=platform.python_version(),
                    problem=error.msg,
                )
            )
        if self._files.is_cut:
            self._notes.append(_("not all files here could be looked at: the guesses may be incomplete"))
