"""The configuration of a project: every setting, its value, and where it came from."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mika.config.process_options import ProcessOptions, read_processes, toml_type
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
from mika.config.sources import DotEnv, TomlTable, read_dotenv, read_toml
from mika.errors import UsageError
from mika.text import did_you_mean, existing_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = ("TEMPORAL_PORT", "TEMPORAL_UI_PORT", "API_PORT")
_ADDRESSES = ("TEMPORAL_HOST", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE", "API_HOST", *_PORTS)


@dataclass(frozen=True)
class Config:
    """Frozen answer of `load`. `extras` are the variables of `.env` that are no settings of mika, for showing."""

    project: Path
    settings: Mapping[str, Setting]
    extras: Mapping[str, Setting]
    dotenv: Mapping[str, str]
    process_tables: Mapping[str, str]  # name -> file:line, to report a table without an entry in the Procfile
    processes: Mapping[str, ProcessOptions]
    outdated: Mapping[str, Setting] = field(default_factory=dict)
    """With `as_started`: what the settings say by now."""

    def value(self, name: str) -> Value:
        return self.settings[name].value

    def text(self, name: str) -> str:
        """The value as text; empty when an optional setting is unset."""
        return as_text(self.value(name))

    def number(self, name: str) -> float:
        value = self.value(name)
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is no number")
        return value

    def port(self, name: str) -> int:
        return int(self.number(name))

    def process(self, name: str) -> ProcessOptions:
        """The options of a process or of one of several (`worker.2`), defaults where nothing is said."""
        return self.processes.get(name.partition(".")[0], ProcessOptions())

    def addresses(self) -> dict[str, str]:
        """The settings by which a running stack is found."""
        return {name: self.text(name) for name in _ADDRESSES}

    def as_started(self, addresses: Mapping[str, str]) -> Config:
        """With the addresses of a stack that was started with others, perhaps in another terminal."""
        found: dict[str, Setting] = {}
        for name in _ADDRESSES:
            if addresses.get(name, self.text(name)) != self.text(name):
                with contextlib.suppress(UsageError):  # damaged
                    found[name] = make_setting(BY_NAME[name], addresses[name], "the running stack")
        outdated = {name: self.settings[name] for name in found}
        return replace(self, settings=MappingProxyType({**self.settings, **found}), outdated=outdated)

    def child_env(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of every child process: `base`, then `.env` where `base` has nothing, then the settings."""
        base = os.environ if base is None else base
        env = {**self.dotenv, **base}
        for setting in self.settings.values():
            if setting.value is None:
                env.pop(setting.name, None)
            else:
                env[setting.name] = as_text(setting.value)
        env |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        scripts = _python_scripts(self.project, base)
        if scripts is not None:
            # A plain dict on Windows may carry the name as `Path`.
            key = next((name for name in env if name.upper() == "PATH"), "PATH")
            env[key] = os.pathsep.join([str(scripts), *filter(None, [env.get(key)])])
        return env


def load(
    project: Path, overrides: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Resolve the configuration of the folder `project`; UsageError is one line: where, what, how to mend it.

    Later wins: default, `[tool.mika]` in pyproject.toml, mika.toml, `.env`, environment, option. Each key by itself, so
    mika.toml may change one key of pyproject.toml. `overrides` are the options, by the name of the setting.
    """
    environ = os.environ if environ is None else environ
    project = existing_folder(project)
    tables = (read_toml(project / "pyproject.toml", ("tool", "mika")), read_toml(project / "mika.toml"))
    dotenv = read_dotenv(project / ".env", environ)

    settings = {variable.name: default_setting(variable) for variable in VARIABLES}
    processes: dict[str, dict[str, Any]] = {}
    process_tables: dict[str, str] = {}
    for table in tables:
        settings |= _from_toml(table)
        for name, options in read_processes(table, project).items():
            processes.setdefault(name, {}).update(options)
            process_tables[name] = table.where("process", name)
    settings |= _from_dotenv(dotenv)
    for name, variable in BY_NAME.items():
        if name in environ:
            settings[name] = make_setting(variable, environ[name], "environment")
    for name, raw in (overrides or {}).items():
        if raw is not None:
            option = "--" + BY_NAME[name].key.replace("_", "-")
            settings[name] = make_setting(BY_NAME[name], raw, option, name="the option")
    _check_together(settings)

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
        processes=MappingProxyType({name: ProcessOptions(**options) for name, options in processes.items()}),
    )


def option(name: str, raw: str | None) -> Value:
    """One setting from its option alone, else its default: for commands that must work while a file is broken."""
    variable = BY_NAME[name]
    if raw is None:
        return variable.default
    return make_setting(variable, raw, "--" + variable.key.replace("_", "-"), name="the option").value


def _from_toml(table: TomlTable) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for key, value in table.values.items():
        if key == "process":
            continue
        variable = BY_KEY.get(key)
        if variable is None:
            raise UsageError(f"{table.where(key)}: unknown key '{key}'{did_you_mean(key, [*BY_KEY, 'process'])}")
        if isinstance(value, bool) or not isinstance(value, variable.kind.toml):
            raise UsageError(f"{table.where(key)}: {key} is {toml_type(value)}; give {variable.kind.expected}")
        settings[variable.name] = make_setting(variable, str(value), table.where(key), name=key)
    return settings


def _from_dotenv(dotenv: DotEnv) -> dict[str, Setting]:
    return {
        name: make_setting(BY_NAME[name], value, f".env:{dotenv.lines[name]}")
        for name, value in dotenv.values.items()
        if name in BY_NAME
    }


def _check_together(settings: Mapping[str, Setting]) -> None:
    run, execution = settings["WORKFLOW_RUN_TIMEOUT"], settings["WORKFLOW_EXECUTION_TIMEOUT"]
    if float(as_text(run.value)) > float(as_text(execution.value)):
        raise UsageError(
            f"{_blamed(run, execution)}: WORKFLOW_RUN_TIMEOUT is {run.shown} s, longer than WORKFLOW_EXECUTION_TIMEOUT"
            f" ({execution.shown} s); a run is a part of an execution, so lower the first or raise the second"
        )
    if settings["MIKA_BACKEND"].value in {"external", "none"}:
        return  # then the ports of Temporal are somebody else's
    taken: dict[Value, Setting] = {}
    for name in _PORTS:
        other = taken.setdefault(settings[name].value, settings[name])
        if other.name != name and _same_host(settings, name, other.name):
            raise UsageError(
                f"{_blamed(settings[name], other)}: {name} and {other.name} are both {other.shown};"
                " give one of them another port"
            )


def _same_host(settings: Mapping[str, Setting], one: str, other: str) -> bool:
    hosts = [settings["API_HOST" if name == "API_PORT" else "TEMPORAL_HOST"].value for name in (one, other)]
    return hosts[0] == hosts[1]


def _blamed(one: Setting, other: Setting) -> str:
    return one.origin if one.origin != "default" else other.origin


def _python_scripts(project: Path, base: Mapping[str, str]) -> Path | None:
    """The folder to put first on PATH, so that `python` means the project's environment; None to leave PATH alone."""
    name = "Scripts" if os.name == "nt" else "bin"
    own = project / ".venv" / name
    if "VIRTUAL_ENV" not in base and own.is_dir():
        return own
    prefix = Path(sys.prefix)
    # `pipx install` and `uv tool install` give mika an environment of its own, where the bot's packages are not.
    isolated = any((prefix / mark).exists() for mark in ("pipx_metadata.json", "uv-receipt.toml"))
    return prefix / name if sys.prefix != sys.base_prefix and not isolated else None
