"""Which services of the compose file are started, and what keeps some of them from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from urllib.parse import urlsplit

from mika import address
from mika.config import compose_file
from mika.config.load import Config
from mika.detect.compose import Choice, JudgedService, Runs, ServiceText, choose, judge, ports_in
from mika.detect.compose_text import ComposeText, load
from mika.errors import UsageError
from mika.frozen import frozen
from mika.procfile.entries import Entry
from mika.text import did_you_mean
from mika.wording import _, listed


@frozen
class Plan:
    """What the files say, without compose and without an engine. `file` is None if there is no compose file."""

    file: ComposeText | None
    services: tuple[JudgedService, ...] = ()
    choice: Choice = field(default_factory=Choice)

    def __iter__(self) -> Iterator[JudgedService]:
        """The services that are to be started."""
        return (service for service in self.services if service.name in self.choice.started)

    @property
    def has_temporal(self) -> bool:
        return any(service.kind == "temporal" for service in self.services)

    @property
    def profiles(self) -> list[str]:
        """Those that are needed for the services that are to be started."""
        return [service.entry.profiles[0] for service in self if service.entry.profiles]


def plan(config: Config, backend: str, entries: Sequence[Entry]) -> Plan:
    """`entries`: what mika runs itself. Raises UsageError for a service in the settings that does not exist."""
    env = compose_file.environment(config.project, config.child_env())
    file = load(config.project, env)
    if file is None or file.error:
        _check_names(config, file)
        return Plan(file)
    services = judged(config, file.entries, entries)
    _check_names(config, file)
    return Plan(file, services, chosen(config, services, backend, file.optional))


def judged(config: Config, found: Sequence[ServiceText], entries: Sequence[Entry]) -> tuple[JudgedService, ...]:
    """What each service is, for this project."""
    values = {*config.child_env().values(), *(value for env in config.own_envs().values() for value in env.values())}
    temporal_ports = (config.port("TEMPORAL_PORT"), config.port("TEMPORAL_UI_PORT"))
    return judge(found, list(_runs(config, entries)), set(ports_in(values)), temporal_ports)


def chosen(config: Config, services: Sequence[JudgedService], backend: str, optional: Sequence[str] = ()) -> Choice:
    """Which of them are started."""
    named = config.names["services"].names if "services" in config.names else None
    if named is None and config.text("MIKA_BACKEND") == "none":  # whoever asks for that wants the Procfile alone
        return Choice((), tuple((service.name, _("backend none")) for service in services))
    excluded = config.names["exclude"].names if "exclude" in config.names else ()
    return choose(services, backend, named=named, excluded=excluded, optional=optional)


def named_in(config: Config) -> str:
    """Where the user names services (`mika.toml:3`), or nothing: if so, it is an error if they cannot be started."""
    named = config.names.get("services")
    return named.origin if named is not None and named.names else ""


def _check_names(config: Config, file: ComposeText | None) -> None:
    for key, given in config.names.items():
        if file is None and given.names:
            raise UsageError(
                _(
                    "{place}: {key} names services, and there is no compose file in {folder}",
                    place=given.origin,
                    key=key,
                    folder=config.project,
                )
            )
        if file is None or file.error:
            continue
        known = [entry.name for entry in file.entries]
        for name in given.names:
            if name not in known:
                raise UsageError(
                    _(
                        "{place}: {file} has no service '{name}'{suggestion} (there are: {names})",
                        place=given.origin,
                        file=file.path,
                        name=name,
                        suggestion=did_you_mean(name, known),
                        names=listed(known) or _("none"),
                    )
                )


def _runs(config: Config, entries: Sequence[Entry]) -> Iterator[Runs]:
    for entry in entries:
        rule, port = config.ready_rule(entry.name), 0
        if rule.kind == "tcp":
            port = int(rule.target)
        elif rule.kind == "http" and address.is_loopback(urlsplit(rule.target).hostname or ""):
            port = urlsplit(rule.target).port or 0
        yield Runs(entry.name, entry.command, port)


def users_of(ports: Sequence[int], variables: Mapping[str, str]) -> list[str]:
    """The variables whose address is at one of these ports of this machine."""
    return [name for name, value in variables.items() if not set(ports).isdisjoint(ports_in([value]))]


def project_variables(config: Config) -> dict[str, str]:
    """The variables of the project's own, as its processes have them: those of `.env`."""
    return {name: os.environ.get(name, value) for name, value in config.dotenv.items()}
