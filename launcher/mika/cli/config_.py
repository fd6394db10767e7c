"""`mika config`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import fields
from types import MappingProxyType

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo, shown
from mika.cli.screen.width import pad, width
from mika.config import compose_file
from mika.config.cluster import is_login
from mika.config.declared import Argument, Declared
from mika.config.environment import find_environment
from mika.config.load import Config
from mika.config.process_options import Need, ProcessOptions
from mika.config.settings import mask
from mika.wording import _

_DEFAULTS = ProcessOptions()
_IF = _("if Docker is here")


@click.command("config")
@json_option
@click.pass_obj
def config_command(context: Context, as_json: bool) -> None:
    """Show every setting, its value and where it came from. Secrets are masked.

    Of the options of processes, those that are not the default. Of the compose file, what becomes of each service.
    """
    config = context.load()
    services = _services(config)
    environment = find_environment([config.project], os.environ)
    python = str(environment.scripts) if environment is not None else None
    settings = [*config.settings.values(), *config.extras.values()]
    if as_json:
        values = {
            s.name: {"value": s.shown if s.secret else s.value, "origin": s.origin, "secret": s.secret}
            for s in settings
        }
        processes = {
            name: {option.name: _json(getattr(options, option.name)) for option in fields(options)}
            for name, options in config.processes.items()
        }
        print_json(
            {
                "version": 1,
                "project": str(config.project),
                "python": python,
                "settings": values,
                "processes": processes,
                **_declared(config.declared),
                "services": services,
            }
        )
        return
    rows = [
        (s.name, s.shown if s.value is not None else "-", s.origin)
        for s in settings
        if s.value is not None or not is_login(s.name)  # most projects need no login
    ]
    rows.append(("python", python or "-", "" if python is not None else _("the first one on PATH")))
    rows += [
        (f"{name}.{option.name}", _toml(getattr(options, option.name)), config.process_tables[name])
        for name, options in config.processes.items()
        for option in fields(options)
        if getattr(options, option.name) != getattr(_DEFAULTS, option.name)
    ]
    rows += _declared_rows(config.declared)
    rows += [(f"services.{name}", _("left out") if why else _("started"), why or _IF) for name, why in services.items()]
    rows += [
        (f"{name}.python", str(own.scripts), _("its own environment"))
        for name, own in config.own_environments().items()
    ]
    _print(rows)


def _print(rows: Sequence[tuple[str, str, str]]) -> None:
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in cells) for i in (0, 1)]
    for name, value, origin in cells:
        echo(f"{pad(name, widths[0])}  {pad(value, widths[1])}  {origin}")


def _declared(declared: Declared) -> dict[str, object]:
    attributes: dict[str, dict[str, str]] = {}
    for attribute in declared.search_attributes:
        attributes.setdefault(attribute.namespace, {})[attribute.name] = attribute.type
    return {
        "temporal": {
            "namespaces": [item.name for item in declared.namespaces],
            "search_attributes": attributes,
            "nexus_endpoints": {
                item.name: {"namespace": item.namespace, "task_queue": item.task_queue}
                for item in declared.nexus_endpoints
            },
        },
        "schedules": {
            item.name: {
                "namespace": item.namespace,
                "workflow": item.workflow,
                "task_queue": item.task_queue,
                "cron": item.cron or None,
                "interval": item.interval or None,
                "args": _masked(list(item.args)),
            }
            for item in declared.schedules
        },
    }


def _declared_rows(declared: Declared) -> list[tuple[str, str, str]]:
    rows = [("temporal.namespaces", item.name, item.where) for item in declared.namespaces]
    rows += [
        (f"temporal.search_attributes.{item.namespace}.{item.name}", item.type, item.where)
        for item in declared.search_attributes
    ]
    rows += [
        (f"temporal.nexus_endpoints.{item.name}", f"{item.namespace}/{item.task_queue}", item.where)
        for item in declared.nexus_endpoints
    ]
    for item in declared.schedules:
        args = json.dumps(_masked(list(item.args)), ensure_ascii=False) if item.args else ""
        interval = str(item.interval) if item.interval else ""
        values = {
            "namespace": item.namespace,
            "workflow": item.workflow,
            "task_queue": item.task_queue,
            "cron": item.cron,
            "interval": interval,
            "args": args,
        }
        rows += [(f"schedule.{item.name}.{key}", value, item.where) for key, value in values.items() if value]
    return rows


def _masked(value: Argument, name: str = "") -> Argument:
    """The arguments of a workflow, without what looks like a secret."""
    match value:
        case list():
            return [_masked(item, name) for item in value]
        case dict():
            return {key: _masked(item, key) for key, item in value.items()}
        case str():
            return mask(name, value)
    return value


def _services(config: Config) -> dict[str, str]:
    """Each service of the compose file, and why it is left out; empty if it is started."""
    if compose_file.file_of(config.project, config.child_env()) is None and not config.names:
        return {}
    from mika.backends.choice import planned
    from mika.procfile import entries as procfile
    from mika.project.folder import ProjectDir

    path = config.project / "Procfile"
    runs = procfile.read(path) if path.exists() else []
    plan, with_docker = planned(config, ProjectDir(config.project), runs)
    if plan.file is not None and plan.file.error:
        return {plan.file.path: plan.file.error}
    left_out = dict(plan.choice.left_out)
    for name in with_docker.choice.started if with_docker is not None else ():
        if name in left_out:
            left_out[name] = left_out[name] + _(", unless Docker and all images are here")
    return {service.name: left_out.get(service.name, "") for service in plan.services}


def _json(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return {name: mask(name, text) for name, text in value.items()}
    return [_toml(item) for item in value] if isinstance(value, tuple) else value


def _toml(value: object) -> str:
    """Roughly as it is written in mika.toml."""
    match value:
        case Need():
            return f"{value.name}:{value.condition}" if value.condition else value.name
        case MappingProxyType():
            return " ".join(f"{name}={mask(name, text)}" for name, text in value.items())
        case tuple():
            return ", ".join(_toml(item) for item in value)
        case bool():
            return str(value).lower()
    return str(value)
