"""`mika config`."""

from __future__ import annotations

import os
from dataclasses import fields
from types import MappingProxyType

import click

from mika.cli.context import Context, json_option, print_json
from mika.config.cluster import is_login
from mika.config.environment import find_environment
from mika.config.process_options import Need, ProcessOptions
from mika.config.settings import mask

_DEFAULTS = ProcessOptions()


@click.command("config")
@json_option
@click.pass_obj
def config_command(context: Context, as_json: bool) -> None:
    """Show every setting, its value and where it came from. Secrets are masked.

    Of the options of processes, those that are not the default.
    """
    config = context.load()
    environment = find_environment([config.project], os.environ)
    python = str(environment.scripts) if environment is not None else None
    settings = [*config.settings.values(), *config.extras.values()]
    if as_json:
        shown = {
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
                "settings": shown,
                "processes": processes,
            }
        )
        return
    rows = [
        (s.name, s.shown if s.value is not None else "-", s.origin)
        for s in settings
        if s.value is not None or not is_login(s.name)  # most projects need no login
    ]
    rows.append(("python", python or "-", "" if python is not None else "the first one on PATH"))
    rows += [
        (f"{name}.{option.name}", _toml(getattr(options, option.name)), config.process_tables[name])
        for name, options in config.processes.items()
        for option in fields(options)
        if getattr(options, option.name) != getattr(_DEFAULTS, option.name)
    ]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, value, origin in rows:
        click.echo(f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {origin}")


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
