"""`mika restart`, `mika stop`, `mika start`: one process of a running stack."""

from __future__ import annotations

import time

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.wait_ import STEP, wait_ready
from mika.errors import MikaError

_AT_REST = ("exited", "stopped", "gave_up")
_names = click.argument("names", nargs=-1, required=True, metavar="NAME...")
_timeout = click.option("--timeout", metavar="S", help="Give up waiting after this many seconds.")


def _told(context: Context, op: str, names: tuple[str, ...]) -> list[str]:
    return list(context.ask(op, names=names)["names"])


@click.command("restart")
@_names
@_timeout
@json_option
@click.pass_obj
def restart_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Stop gracefully, start again with a fresh budget, and return when ready. Revives one that gave up."""
    _start_or_restart(context, "restart", names, timeout, as_json)


@click.command("start")
@_names
@_timeout
@json_option
@click.pass_obj
def start_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Start what was stopped, has ended or gave up, and return when ready."""
    _start_or_restart(context, "start", names, timeout, as_json)


def _start_or_restart(context: Context, op: str, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    limit = context.timeout(timeout)
    told = _told(context, op, names)
    found = wait_ready(context, told, limit)
    if as_json:
        print_json(found)
    else:
        click.echo(f"ready: {', '.join(told)}")


@click.command("stop")
@_names
@_timeout
@json_option
@click.pass_obj
def stop_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Stop gracefully; it stays stopped until `mika start` or the next `mika up`."""
    limit = context.timeout(timeout)
    told = _told(context, "stop", names)
    deadline = time.monotonic() + limit
    while True:
        found = context.ask("status")
        units = [u for u in (*found["services"], *found["processes"]) if u["name"] in told]
        running = [u["name"] for u in units if u.get("pid") or u["state"] not in _AT_REST]
        if not running:
            break
        if time.monotonic() >= deadline:
            raise MikaError(
                f"still running after {limit:.0f} s: {', '.join(running)}", "`mika down` ends it", code="not_stopped"
            )
        time.sleep(STEP)
    if as_json:
        print_json(found)
    else:
        click.echo(f"stopped: {', '.join(told)}")
