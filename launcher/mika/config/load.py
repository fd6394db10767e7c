"""The configuration of a project: every setting, its value, and where it came from."""

from __future__ import annotations

import contextlib
import os
from dataclasses import field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mika import address
from mika.config import cluster
from mika.config.declared import TABLES, Declared, read_declared
from mika.config.environment import Environment, between, find_environment
from mika.config.names import NAME_LISTS, Names, read_names
from mika.config.process_options import (
    ProcessOptions,
    Ready,
    make_options,
    parse_ready,
    read_processes,
    toml_type,
)
from mika.config.references import fill_in, filled_env
from mika.config.search import misnamed
from mika.config.settings import (
    BY_KEY,
    BY_NAME,
    VARIABLES,
    Setting,
    Value,
    as_text,
    default_setting,
    make_setting,
    mask,
)
from mika.config.sources import DotEnv, TomlTable, read_dotenv, read_toml, where_it_belongs
from mika.errors import UsageError
from mika.frozen import frozen
from mika.text import did_you_mean, existing_folder, nearest
from mika.wording import _

if TYPE_CHECKING:
    from collections.abc import Mapping

_MISSPELLED = 0.85
"""How similar a name in `.env` must be to that of a setting: other names are the project's own."""
_OURS = [name for name in BY_NAME if name.startswith(("MIKA_", "TEMPORAL_", "API_"))]
"""Not, for example, MONGODB_URL: a project may well have a MONGO_URL of its own."""
_PORTS = ("TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT")
_TABLES = ("process", *TABLES)
PROVIDED = (
    "TEMPORAL_HOST",
    "TEMPORAL_PORT",
    "TEMPORAL_NAMESPACE",
    "API_HOST",
    "API_PORT",
    "MIKA_HANG_TIMEOUT",
)
"""What every process is told, also where it is a default: where things are. An app has defaults of its own for the
rest."""
_ADDRESSES = ("TEMPORAL_HOST", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE", "API_HOST", *_PORTS)
_LOCAL = ("embedded", "docker")
"""The backends that start a Temporal server on this machine, without a login."""


@frozen
class Config:
    """What `load` returns. `extras` are the variables of `.env` that are not settings of mika; they are only shown."""

    project: Path
    settings: Mapping[str, Setting]
    extras: Mapping[str, Setting]
    dotenv: Mapping[str, str]
    process_tables: Mapping[str, str]  # name -> file:line, for the error about a table without an entry in the Procfile
    processes: Mapping[str, ProcessOptions]
    declarations: Declared = field(default_factory=Declared)
    """As they are written; `declared` has the namespaces filled in."""
    names: Mapping[str, Names] = field(default_factory=dict)
    """The lists of compose services, by key: `services` and `exclude`, if they are given."""
    outdated: Mapping[str, Setting] = field(default_factory=dict)
    """From `as_started`: the current values of the settings that have changed since the stack was started."""
    is_local: bool = False
    """From `for_backend`: Temporal is a server that mika starts, so nothing says how to log in elsewhere."""

    def value(self, name: str) -> Value:
        return self.settings[name].value

    def text(self, name: str) -> str:
        """The value as text; empty when an optional setting is unset."""
        return as_text(self.value(name))

    def number(self, name: str) -> float:
        value = self.value(name)
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is not a number")
        return value

    def port(self, name: str) -> int:
        return int(self.number(name))

    @property
    def own_ports(self) -> tuple[int, ...]:
        """All that mika's own settings name, used or not."""
        return tuple(map(self.port, _PORTS))

    @property
    def api_url(self) -> str:
        """Where people and probes reach the bot's API; without a path."""
        return address.http_url(self.text("API_HOST"), self.port("API_PORT"))

    @property
    def declared(self) -> Declared:
        """What the stack needs on its Temporal server."""
        return self.declarations.within(self.text("TEMPORAL_NAMESPACE"))

    def process(self, name: str) -> ProcessOptions:
        """The options of a process or of one of several (`worker.2`); the defaults if none are given."""
        return self.processes.get(name.partition(".")[0], ProcessOptions())

    def ready_rule(self, name: str) -> Ready:
        """When a process counts as ready; `none` if its rule needs a variable that is not set."""
        try:
            return parse_ready(fill_in(self.process(name).ready, {**self.defaults(), **self.child_env()}))
        except ValueError:
            return Ready("none", "")

    def addresses(self) -> dict[str, str]:
        """The settings by which a running stack is found, and how to log in to its cluster, but for the secrets."""
        login = () if self.is_local else tuple(name for name in cluster.LOGIN if not BY_NAME[name].secret)
        return {name: self.text(name) for name in (*_ADDRESSES, *login)}

    def as_started(self, addresses: Mapping[str, str]) -> Config:
        """A copy with the addresses that a running stack was started with, perhaps in another terminal."""
        changed: dict[str, Setting] = {}
        for name in (*_ADDRESSES, *cluster.LOGIN):
            if addresses.get(name, self.text(name)) != self.text(name):
                with contextlib.suppress(UsageError):  # the state file is damaged
                    changed[name] = make_setting(BY_NAME[name], addresses[name], _("the running stack"))
        outdated = {name: self.settings[name] for name in changed}
        return replace(self, settings=MappingProxyType({**self.settings, **changed}), outdated=outdated)

    def for_backend(self, name: str) -> Config:
        """A copy for this backend: what says how to log in to a cluster is not meant for a server that mika starts."""
        if name not in _LOCAL:
            return self
        settings = {**self.settings, **{name: default_setting(BY_NAME[name]) for name in cluster.LOGIN}}
        return replace(self, settings=MappingProxyType(settings), is_local=True)

    def login(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables that say how to log in to Temporal, as its SDKs read them; empty where that needs none."""
        base = os.environ if base is None else base
        found = {name: text for name in cluster.LOGIN if (text := self.text(name))}
        if not self.is_local:
            found |= {name: text for name, text in {**self.dotenv, **base}.items() if name.startswith(cluster.HEADERS)}
            if cluster.FILE not in found and (file := cluster.default_file(base)) is not None:
                found[cluster.FILE] = str(file)
        return found

    @property
    def is_elsewhere(self) -> bool:
        """Whether Temporal is on another machine, or at an address that comes with a login: ours have none."""
        places = (cluster.PROFILE, cluster.FILE)
        has_login = any(self.text(name) for name in cluster.LOGIN if name not in places)
        is_given = any(self.settings[name].origin != "default" for name in ("TEMPORAL_HOST", "TEMPORAL_PORT"))
        is_remote = not address.is_loopback(self.text("TEMPORAL_HOST"))
        return is_remote or (is_given and has_login and self.text("TEMPORAL_TLS") != "false")

    def notes(self) -> list[str]:
        """What may not be meant as it is: a misspelled setting in `.env`, and a Python from elsewhere."""
        notes = misnamed(self.project, "mika.toml", ".env")
        for extra in self.extras.values():
            setting = nearest(extra.name, _OURS, similarity=_MISSPELLED)
            if setting is not None and setting not in self.dotenv:
                notes.append(
                    _(
                        "{where}: {name} is not a setting of mika; did you mean '{setting}'?",
                        where=extra.origin,
                        name=extra.name,
                        setting=setting,
                    )
                )
        environment = find_environment([self.project], os.environ)
        if environment is not None and environment.root.parent != self.project:
            notes.append(_("processes use the Python environment {folder}", folder=environment.root))
        for name, own in self.own_environments().items():
            notes.append(_("{name} uses the Python environment {folder}", name=name, folder=own.root))
        return notes

    def own_environments(self) -> dict[str, Environment]:
        """By the names of the processes whose folder has another environment than the project."""
        of_project = find_environment([self.project], os.environ)
        folders = {name: between(self.project / o.cwd, self.project) for name, o in self.processes.items() if o.cwd}
        found = {name: find_environment(tried, os.environ) for name, tried in folders.items()}
        return {name: own for name, own in found.items() if own is not None and own != of_project}

    def defaults(self) -> dict[str, str]:
        """The settings as a Procfile or a `ready` rule may name them, also those that no process is told."""
        return {name: as_text(setting.value) for name, setting in self.settings.items() if setting.value is not None}

    def own_envs(self) -> dict[str, dict[str, str]]:
        """The `env` of each process, as far as it is known before the start: without its PORT."""
        known = {**self.defaults(), **self.child_env()}
        return {name: filled_env(options.env, known, unset="") for name, options in self.processes.items()}

    def child_env(self, base: Mapping[str, str] | None = None, cwd: Path | None = None) -> dict[str, str]:
        """The environment of a child process. The settings override `base`, and `base` overrides `.env`.

        Its Python is that of its folder `cwd`, if it has one of its own, else that of the project.
        """
        base = os.environ if base is None else base
        env = {**self.dotenv, **base}
        for setting in self.settings.values():
            if setting.value is None:
                env.pop(setting.name, None)
            elif setting.origin != "default" or setting.name in PROVIDED:
                env[setting.name] = as_text(setting.value)
        env[cluster.ADDRESS] = address.join(self.text("TEMPORAL_HOST"), self.port("TEMPORAL_PORT"))
        if cluster.has_port(self.settings["TEMPORAL_HOST"].raw):  # as the project reads it
            env["TEMPORAL_HOST"] = env[cluster.ADDRESS]
        if self.is_local:
            env = {name: text for name, text in env.items() if not cluster.is_login(name)}
            if cluster.default_file(base) is not None:  # of this user: its key is not for this server
                env[cluster.FILE] = os.devnull
        env |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        environment = find_environment(between(cwd or self.project, self.project), base)
        if environment is not None:  # as its `activate` does
            # On Windows, the name may be `Path` in a plain dict.
            key = next((name for name in env if name.upper() == "PATH"), "PATH")
            env[key] = os.pathsep.join([str(environment.scripts), *filter(None, [env.get(key)])])
            env["VIRTUAL_ENV"] = str(environment.root)
            env.pop("PYTHONHOME", None)
        return env


def load(
    project: Path, overrides: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Load the configuration of the folder `project`.

    The last one wins: default, `[tool.mika]` in pyproject.toml, mika.toml, `.env`, environment, option. This holds for
    each key, so mika.toml may change a single key of pyproject.toml. `overrides` are the options, by the name of the
    setting. Raises UsageError with one line: where, what is wrong, and how to fix it.
    """
    environ = os.environ if environ is None else environ
    project = existing_folder(project)
    tables = (read_toml(project / "pyproject.toml", ("tool", "mika")), read_toml(project / "mika.toml"))
    dotenv = read_dotenv(project / ".env", environ)

    settings = {variable.name: default_setting(variable) for variable in VARIABLES}
    processes: dict[str, dict[str, Any]] = {}
    process_tables: dict[str, str] = {}
    names: dict[str, Names] = {}
    for table in tables:
        names |= read_names(table)
        settings |= _from_toml(table)
        for name, options in read_processes(table, project).items():
            processes.setdefault(name, {}).update(options)
            process_tables[name] = table.where("process", name)
    settings = _with_profile(settings, _above_files(dotenv, environ, overrides or {}), project, environ)
    _check_combinations(settings)
    declarations = read_declared(tables, as_text(settings["TEMPORAL_NAMESPACE"].value))

    extras = {
        name: Setting(name, value, value, f".env:{dotenv.lines[name]}", shown != value, shown)
        for name, value in dotenv.values.items()
        if name not in BY_NAME
        for shown in [mask(name, value)]
    }
    return Config(
        project=project,
        settings=MappingProxyType(settings),
        extras=MappingProxyType(extras),
        dotenv=MappingProxyType(dotenv.values),
        process_tables=MappingProxyType(process_tables),
        processes=MappingProxyType(
            {name: make_options(options, process_tables[name]) for name, options in processes.items()}
        ),
        declarations=declarations,
        names=MappingProxyType(names),
    )


def _above_files(dotenv: DotEnv, environ: Mapping[str, str], options: Mapping[str, str | None]) -> dict[str, Setting]:
    """What overrides the files of settings: `.env`, the environment and the options."""
    over = cluster.address_settings({**dotenv.values, **environ}.get(cluster.ADDRESS, ""), cluster.ADDRESS)
    over |= _from_dotenv(dotenv)
    for name in BY_NAME:
        if name in environ:
            over |= cluster.given(name, environ[name], _("environment"))
    for name, raw in options.items():
        if raw is not None:
            over[name] = _from_option(name, raw)
    return over


def _from_option(name: str, raw: str) -> Setting:
    variable = BY_NAME[name]
    return make_setting(variable, raw, "--" + variable.key.replace("_", "-"), name=_("the option"))


def option(name: str, raw: str | None) -> Value:
    """One setting, only from its option or its default: for commands that must work even if a file is broken."""
    return BY_NAME[name].default if raw is None else _from_option(name, raw).value


def _from_toml(table: TomlTable) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for key, value in table.values.items():
        if key in (*_TABLES, *NAME_LISTS):
            continue
        variable = BY_KEY.get(key)
        if variable is None:
            close = did_you_mean(key, [*BY_KEY, *_TABLES, *NAME_LISTS])
            raise UsageError(
                _("{where}: unknown key '{key}'{suggestion}", where=table.where(key), key=key, suggestion=close),
                "" if close else where_it_belongs(key),
            )
        if not isinstance(value, variable.kind.toml) or (isinstance(value, bool) and bool not in variable.kind.toml):
            raise UsageError(
                _(
                    "{where}: {key} is {type}; give {expected}",
                    where=table.where(key),
                    key=key,
                    type=toml_type(value),
                    expected=variable.kind.expected,
                )
            )
        settings[variable.name] = make_setting(variable, str(value), table.where(key), name=key)
    return settings


def _from_dotenv(dotenv: DotEnv) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for name in BY_NAME:
        if name in dotenv.values:
            settings |= cluster.given(name, dotenv.values[name], f".env:{dotenv.lines[name]}")
    return settings


def _with_profile(
    settings: Mapping[str, Setting], over: Mapping[str, Setting], project: Path, environ: Mapping[str, str]
) -> dict[str, Setting]:
    """`settings` of the project's files, then the profile of Temporal's own file, then those of `over`.

    A profile that nobody asked for is the user's default, and counts less than what the project says.
    """
    merged = {**settings, **over}
    merged |= cluster.absolute(merged, project)
    if merged["MIKA_BACKEND"].value in _LOCAL:
        return merged
    profile, is_wanted = cluster.profile_settings(merged, environ)
    place = {"TEMPORAL_HOST", "TEMPORAL_PORT"}
    decided = place if any(name in over for name in place) else set()  # a host of one source and a port of another?
    if not is_wanted:
        decided |= {name for name in profile if merged[name].origin != "default"}
        decided |= place if place & decided else set()
    decided |= set(over)
    return {**merged, **{name: setting for name, setting in profile.items() if name not in decided}}


def _check_combinations(settings: Mapping[str, Setting]) -> None:
    run, execution = settings["WORKFLOW_RUN_TIMEOUT"], settings["WORKFLOW_EXECUTION_TIMEOUT"]
    if float(as_text(run.value)) > float(as_text(execution.value)):
        raise UsageError(
            _(
                "{where}: WORKFLOW_RUN_TIMEOUT is {run} s, longer than WORKFLOW_EXECUTION_TIMEOUT ({execution} s);"
                " a run is part of an execution, so lower the first or raise the second",
                where=_blamed_origin(run, execution),
                run=run.shown,
                execution=execution.shown,
            )
        )
    if settings["MIKA_BACKEND"].value in {"external", "none"}:
        return  # mika does not start Temporal, so its ports need not be free
    by_port: dict[Value, Setting] = {}
    for name in _PORTS:
        other = by_port.setdefault(settings[name].value, settings[name])
        if other.name != name and _is_same_host(settings, name, other.name):
            raise UsageError(
                _(
                    "{where}: {name} and {other} are both {port}; give one of them another port",
                    where=_blamed_origin(settings[name], other),
                    name=name,
                    other=other.name,
                    port=other.shown,
                )
            )


def _is_same_host(settings: Mapping[str, Setting], first: str, second: str) -> bool:
    hosts = [settings["API_HOST" if name == "API_PORT" else "TEMPORAL_HOST"].value for name in (first, second)]
    return hosts[0] == hosts[1]


def _blamed_origin(first: Setting, second: Setting) -> str:
    return first.origin if first.origin != "default" else second.origin
