"""`mika config`."""

from __future__ import annotations

import click

from mika.cli.context import Context, json_option, print_json


@click.command("config")
@json_option
@click.pass_obj
def config_command(context: Context, as_json: bool) -> None:
    """Show every setting, its value and where it came from. Secrets are masked."""
    config = context.load()
    settings = [*config.settings.values(), *config.extras.values()]
    if as_json:
        shown = {
            s.name: {"value": s.shown if s.secret else s.value, "origin": s.origin, "secret": s.secret}
            for s in settings
        }
        print_json({"version": 1, "project": str(config.project), "settings": shown})
        return
    rows = [(s.name, s.shown if s.value is not None else "-", s.origin) for s in settings]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, value, origin in rows:
        click.echo(f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {origin}")
