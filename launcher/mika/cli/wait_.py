"""`mika wait`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from mika.cli.context import Context, json_option, print_json
from mika.errors import MikaError
from mika.text import unknown_name

STEP = 0.1


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[PROCESS]...")
@click.option("--timeout", metavar="S", help="Give up after this many seconds.")
@json_option
@click.pass_obj
def wait_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Return when the stack, or the named processes, are ready."""
    limit = context.timeout(timeout)
    found = wait_ready(context, names, limit)
    if as_json:
        print_json(found)
    else:
        click.echo(f"ready: {', '.join(names)}" if names else "ready")


def wait_ready(context: Context, names: Sequence[str], timeout: float) -> dict[str, Any]:
    """The status once everything named (or all) is ready. Raises MikaError on a time-out or when one gave up."""
    deadline = time.monotonic() + timeout
    while True:
        found: dict[str, Any] = context.ask("status")
        units = [*found["services"], *found["processes"]]
        chosen = [unit for name in names for unit in _named(units, name)] if names else found["processes"]
        for unit in chosen:
            if unit["state"] == "gave_up" or _ended_badly(unit):
                raise MikaError(
                    f"{unit['name']} gave up: {unit['detail']}", f"see `mika logs {unit['name']}`", code="gave_up"
                )
        if found["state"] == "stopping":
            raise MikaError("the stack is stopping", "start it again: `mika up`", code="stopping")
        if all(unit["state"] == "ready" or _done(unit) for unit in chosen) if names else found["state"] == "ready":
            return found
        if time.monotonic() >= deadline:
            raise MikaError(f"not ready after {timeout:.0f} s: {missing(found)}", "see `mika logs`", code="not_ready")
        time.sleep(STEP)


def missing(found: dict[str, Any] | None) -> str:
    """What a status lacks to be ready, each with its reason."""
    if found is None:
        return "the supervisor does not answer"
    units = [unit for unit in (*found["services"], *found["processes"]) if unit["state"] != "ready" and not _done(unit)]
    return "; ".join(f"{unit['name']} is {unit['state']}: {unit['detail']}" for unit in units)


def _done(unit: dict[str, Any]) -> bool:
    """What runs once (a set-up service, a process with restart = "never") has done its work."""
    return bool(unit["state"] == "exited" and (unit.get("last_exit") or {}).get("code") == 0)


def _ended_badly(unit: dict[str, Any]) -> bool:
    return bool(unit["state"] == "exited" and not _done(unit))


def _named(units: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    found = [unit for unit in units if name in (unit["name"], unit["name"].partition(".")[0])]
    if not found:
        raise unknown_name("process", name, [unit["name"] for unit in units])
    return found
