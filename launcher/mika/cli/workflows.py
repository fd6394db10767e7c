"""`mika workflows`: the latest ones and what is wrong with them; cancel, terminate or retry one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import click

from mika.cli.context import Context, confirm, json_option, print_json
from mika.cli.spelling import pasteable
from mika.diagnosis.model import seconds
from mika.doctor.examination import Examination
from mika.doctor.workflows import actions
from mika.doctor.workflows.listing import Row, latest
from mika.errors import MikaError
from mika.project.folder import ProjectDir

T = TypeVar("T")


@click.group("workflows", invoke_without_command=True)
@click.option("--failed", is_flag=True, help="Only those that failed, timed out, or were canceled or terminated.")
@click.option("--running", is_flag=True, help="Only those that run.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@json_option
@click.pass_context
def workflows_command(click_context: click.Context, failed: bool, running: bool, count: int, as_json: bool) -> None:
    """List the latest workflows with their state and cause, newest first."""
    if click_context.invoked_subcommand is not None:
        return
    rows = _run(click_context.obj, lambda exam: latest(exam, count, failed=failed, running=running))
    if as_json:
        print_json({"version": 1, "workflows": [row.as_json() for row in rows]})
    else:
        click.echo(render(rows) if rows else "there are none")


def render(rows: list[Row]) -> str:
    """As a table."""
    table = [["AGE", "STATE", "TOOK", "CAUSE"]]
    table += [
        [seconds(row.age), row.status, "" if row.took is None else seconds(row.took), str(row.diagnosis.cause)]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    shown: list[Row | None] = [None, *rows]
    for cells, row in zip(table, shown, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        if row is not None and not row.ok:
            padded[3] = click.style(padded[3], fg="red")
        lines.append("  ".join([*padded, row.id if row is not None else "ID"]))
    return "\n".join(lines)


def _acts_on_one(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments of all commands that do something about one workflow."""
    for decorate in (
        click.pass_obj,
        json_option,
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.argument("workflow_id", metavar="ID"),
    ):
        function = decorate(function)
    return function


@workflows_command.command("cancel")
@_acts_on_one
def cancel_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """Ask a running workflow to cancel itself; it needs a worker for that."""
    _stop(context, workflow_id, "cancel", yes=yes, as_json=as_json)


@workflows_command.command("terminate")
@_acts_on_one
def terminate_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """End a running workflow at once; its code is not asked."""
    _stop(context, workflow_id, "terminate", yes=yes, as_json=as_json)


def _stop(context: Context, wanted: str, verb: Literal["cancel", "terminate"], *, yes: bool, as_json: bool) -> None:
    workflow_id = _run(context, lambda exam: actions.stop(exam, wanted, verb, _confirm(yes=yes)))
    if as_json:
        print_json({"version": 1, "id": workflow_id, "done": verb})
    else:
        click.echo(f"terminated {workflow_id}" if verb == "terminate" else f"asked {workflow_id} to cancel")


@workflows_command.command("retry")
@_acts_on_one
def retry_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """Start it again with the same input, under a new id."""
    new = _run(context, lambda exam: actions.retry(exam, workflow_id, _confirm(yes=yes)))
    if as_json:
        print_json({"version": 1, "id": new.id, "queue": new.queue, "done": "retry"})
    else:
        click.echo(pasteable(f"started {new.id} in {new.queue}; `mika doctor --workflow {new.id}` tells how it goes"))


def _confirm(*, yes: bool) -> actions.Confirm:
    return (lambda _: None) if yes else confirm


def _run(context: Context, work: Callable[[Examination], Awaitable[T]]) -> T:
    """Do it with a connection; an error of Temporal becomes one line."""
    from temporalio.service import RPCError

    config = context.load_started()

    async def main() -> T:
        async with Examination(config, ProjectDir(config.project)) as exam:
            try:
                return await work(exam)
            except RPCError as error:
                fix = "`mika doctor` checks it"
                raise MikaError(f"Temporal refuses: {error}", fix, code="temporal_error") from None

    return asyncio.run(main())
