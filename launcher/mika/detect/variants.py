"""How services of the compose file run programs of the project: with arguments, variables and ports."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from mika.config.settings import mask
from mika.detect.compose import ServiceText
from mika.detect.documented import Said, words_of
from mika.detect.findings import Process
from mika.detect.sources import Sources, Value
from mika.detect.workers import Worker
from mika.frozen import frozen
from mika.quoting import command_line
from mika.wording import _, listed

_QUEUE = re.compile(r"(?:--(?:temporal[-_])?(?:task[-_])?queue|-q)(?:=(.+))?")
WORKER = re.compile(r"(?:.*[^a-z])?(?:worker|consumer|work|runner)s?(?:[^a-z].*)?", re.IGNORECASE)
"""A command that starts a worker."""
_FIRST_OPEN_PORT = 1024  # those below need rights
_OURS = re.compile(r"TEMPORAL_(ADDRESS|HOST|PORT|NAMESPACE|HOST_URL|HOSTPORT|URL)|PYTHON\w*")
"""What mika tells each process itself, or what is about the container alone."""


@frozen
class _Run:
    """How a service runs a program."""

    service: str
    arguments: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]


def as_services(
    workers: Sequence[Worker],
    services: Sequence[ServiceText],
    said: Sequence[Said],
    sources: Sources,
    variables: Mapping[str, str],
) -> list[Worker]:
    """The workers in Python, each as often as services run it that differ in what reaches the program.

    `variables` are those that the processes will have: what the user has set counts more than a single service.
    """
    found: list[Worker] = []
    for worker in workers:
        runs = [_Run(one.name, *run) for one in services if (run := _run(worker, workers, one, said)) is not None]
        found += _variants(worker, _different(worker, _of_workers(runs), services, sources), variables)
    return found


def told_alike(
    processes: Sequence[Process], apps: Mapping[str, str], variables: Collection[str], sources: Sources
) -> list[Process]:
    """The processes; of them the web `apps`, by their names, get what workers are told of the `variables` that decide
    task queues: an app that reads these starts its workflows there.
    """
    told = {name: {one.env[name] for one in processes if name in one.env} for name in variables}
    certain = {name: values.pop() for name, values in told.items() if len(values) == 1}
    found: list[Process] = []
    for process in processes:
        path = apps.get(process.name, "")
        own = {name: value for name, value in certain.items() if path and _reads(sources, path, name)}
        found.append(replace(process, env={**own, **process.env}))
    return found


def published_port(path: str, variable: str, services: Sequence[ServiceText], said: Sequence[Said]) -> int | None:
    """The port of this machine at which the compose file has a web app, the `variable` of a file."""
    for service in services:
        ports = [published for published, _target in service.ports if published >= _FIRST_OPEN_PORT]
        if service.is_built and ports and any(one.means(path, variable) for one in _commands(service, said, path)):
            return ports[0]
    return None


def _commands(service: ServiceText, said: Sequence[Said], path: str) -> list[Said]:
    """What a service runs of the folder that it is built from, if the file is in there."""
    home = posixpath.normpath(service.context or ".")
    if home != "." and not path.startswith(f"{home}/"):
        return []
    if service.command:
        return [Said(words, "compose.yml") for words in words_of(service.command)]
    dockerfile = posixpath.normpath(posixpath.join(home, "Dockerfile"))
    return [one for one in said if one.where == dockerfile and service.context is not None]


def _run(
    worker: Worker, workers: Sequence[Worker], service: ServiceText, said: Sequence[Said]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]] | None:
    """The arguments and variables with which a service runs a worker, if it does."""
    if worker.start is None or not worker.queues or not service.is_built or service.off:
        return None
    home = posixpath.normpath(service.context or ".")
    here = [one for one in workers if home == "." or one.path.startswith(f"{home}/")]
    for command in _commands(service, said, worker.path):
        program = replace(command, words=command.words[:1])
        meant = [one for one in here if program.means(one.path)]
        exact = [one for one in meant if posixpath.normpath(posixpath.join(home, program.words[0])) == one.path]
        if worker in (exact or meant):
            return command.words[1:], service.variables
    return None


def _different(worker: Worker, runs: Sequence[_Run], services: Sequence[ServiceText], sources: Sources) -> list[_Run]:
    """Each kind of run once, with the variables alone that make the difference, or that decide a queue.

    They are written to mika.toml, so no secret is among them.
    """
    hosts = {service.name for service in services}
    deciding = {queue.variable for queue in worker.queues}
    values: dict[str, set[str | None]] = {}
    for run in runs:
        for name, _value in run.variables:
            values[name] = {dict(other.variables).get(name) for other in runs}
    wanted = {
        name
        for name, different in values.items()
        if not _OURS.fullmatch(name)
        and (name in deciding or (len(different) > 1 and _reads(sources, worker.path, name)))
    }
    unique: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], _Run] = {}
    for run in runs:
        own = tuple(
            (name, value)
            for name, value in run.variables
            if name in wanted and (name in deciding or not _names(value, hosts)) and mask(name, value) == value
        )
        unique.setdefault((run.arguments, own), _Run(run.service, run.arguments, own))
    return list(unique.values())


def _reads(sources: Sources, path: str, variable: str) -> bool:
    """Whether a variable is named in a program in Python, or is that of a field of its settings."""
    module = sources.module(path) if path.endswith(".py") else None
    parts = sources.reachable(module) if module is not None else ()
    return any(variable in sources.files.text(one.path) or variable in {*one.required, *one.defaults} for one in parts)


def _names(value: str, hosts: set[str]) -> bool:
    """Whether it has the host name of a service, which exists only inside compose."""
    return not hosts.isdisjoint(re.split(r"[/@:,]", value))


def _of_workers(runs: Sequence[_Run]) -> Sequence[_Run]:
    """Without those whose program is something else, such as `api`, if others have the command `worker`."""
    named = [run for run in runs if run.arguments and WORKER.fullmatch(run.arguments[0])]
    return named or runs


def _variants(worker: Worker, runs: Sequence[_Run], variables: Mapping[str, str]) -> Iterator[Worker]:
    if len(runs) == 1:  # as usual, with what it says beside that
        runs = [replace(runs[0], variables=tuple(pair for pair in runs[0].variables if pair[0] not in variables))]
    if not any(run.arguments or run.variables for run in runs):
        yield worker
        return
    for run in runs:
        assert worker.start is not None  # noqa: S101 - of the others, there is no run
        command = f"{worker.start.command} {command_line(run.arguments)}".rstrip()
        start = replace(worker.start, command=command, env=(*worker.start.env, *run.variables))
        queues = _queues(worker, run)
        note = _("as the service {name} of the compose file runs it", name=run.service)
        if len(queues) > 1 and len(runs) > 1:
            note = _("{context}: which of {queues} it polls is not known", context=note, queues=listed(worker.known))
            queues = ()
        label = run.service if len(runs) > 1 else ""
        yield replace(worker, start=start, queues=queues, note=note, label=label)


def _queues(worker: Worker, run: _Run) -> tuple[Value, ...]:
    given = dict(run.variables)
    for word, following in zip(run.arguments, (*run.arguments[1:], ""), strict=False):
        if (found := _QUEUE.fullmatch(word)) and (name := found[1] or following):
            return (Value(name),)
    return tuple(
        Value(given[queue.variable], queue.variable) if queue.variable in given else queue
        for queue in worker.chosen((*run.arguments, *given.values()))
    )
