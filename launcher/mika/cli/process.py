"""`mika restart`, `mika stop`, `mika start`: one process of a running stack."""

from __future__ import annotations

import click

from mika.cli.context import Context, json_option, print_json
from mika.control.requests import Verb
from mika.stack import waiting

_names = click.argument("names", nargs=-1, required=True, metavar="NAME...")
_timeout = click.option("--timeout", metavar="S", help="Give up waiting after this many seconds.")


@click.command("restart")
@_names
@_timeout
@json_option
@click.pass_obj
def restart_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Stop gracefully, start again with a fresh budget, and return when ready. Revives one that gave up."""
    _tell(context, "restart", names, timeout, as_json=as_json)


@click.command("start")
@_names
@_timeout
@json_option
@click.pass_obj
def start_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Start what was stopped, has exited or gave up, and return when ready."""
    _tell(context, "start", names, timeout, as_json=as_json)


@click.command("stop")
@_names
@_timeout
@json_option
@click.pass_obj
def stop_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Stop gracefully; it stays stopped until `mika start` or the next `mika up`."""
    _tell(context, "stop", names, timeout, as_json=as_json)


def _tell(context: Context, verb: Verb, names: tuple[str, ...], timeout: str | None, *, as_json: bool) -> None:
    limit = context.timeout(timeout)
    client = context.client
    units = client.control(verb, names)
    if verb == "stop":
        status = waiting.until_stopped(client, units, limit)
    else:
        status = waiting.until_ready(client, units, limit)
    if as_json:
        print_json(status.as_json())
    else:
        click.echo(f"{'stopped' if verb == 'stop' else 'ready'}: {', '.join(units)}")
