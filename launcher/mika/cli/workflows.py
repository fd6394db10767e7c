"""`mika workflows`: the latest ones and what is wrong with them; cancel, terminate or retry one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from mika.cli.context import Context, confirm, json_option, print_json
from mika.diagnosis import proto
from mika.diagnosis.model import FINE, seconds
from mika.doctor import workflows
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.project.folder import ProjectDir

T = TypeVar("T")
_id = click.argument("workflow_id", metavar="ID")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


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
    rows = _run(click_context.obj, lambda x: workflows.latest(x, count, failed=failed, running=running))
    if as_json:
        print_json({"version": 1, "workflows": [row.as_dict() for row in rows]})
    else:
        click.echo(render(rows) if rows else "there are none")


def render(rows: list[workflows.Row]) -> str:
    """As a table."""
    table = [["AGE", "STATE", "TOOK", "CAUSE", "ID"]]
    table += [
        [
            seconds(row.age),
            row.status,
            "" if row.took is None else seconds(row.took),
            str(row.diagnosis.cause),
            row.id,
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    lines = []
    for number, line in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        if number and rows[number - 1].diagnosis.cause not in FINE:
            cells[3] = click.style(cells[3], fg="red")
        lines.append("  ".join([*cells, line[4]]).rstrip())
    return "\n".join(lines)


@workflows_command.command("cancel")
@_id
@_yes
@json_option
@click.pass_obj
def cancel_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """Ask a running workflow to cancel itself; it needs a worker for that."""
    _stop(context, workflow_id, yes=yes, as_json=as_json, force=False)


@workflows_command.command("terminate")
@_id
@_yes
@json_option
@click.pass_obj
def terminate_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """End a running workflow at once; its code is not asked."""
    _stop(context, workflow_id, yes=yes, as_json=as_json, force=True)


def _stop(context: Context, wanted: str, *, yes: bool, as_json: bool, force: bool) -> None:
    verb = "terminate" if force else "cancel"

    async def act(x: Examination) -> str:
        found = await workflows.find(x, wanted)
        info = found.workflow_execution_info
        workflow_id = str(info.execution.workflow_id)
        if info.status != proto.RUNNING:
            raise MikaError(
                f"{workflow_id} does not run: {proto.STATUS.get(info.status, info.status)}",
                f"`mika doctor --workflow {workflow_id}` tells its story",
                code="not_running_workflow",
            )
        _ask(f"{verb.capitalize()} {workflow_id} ({info.type.name})?", yes=yes)
        await workflows.stop(x, found, force=force)
        return workflow_id

    workflow_id = _run(context, act)
    if as_json:
        print_json({"version": 1, "id": workflow_id, "done": verb})
    else:
        click.echo(f"terminated {workflow_id}" if force else f"asked {workflow_id} to cancel")


@workflows_command.command("retry")
@_id
@_yes
@json_option
@click.pass_obj
def retry_command(context: Context, workflow_id: str, yes: bool, as_json: bool) -> None:
    """Start it again with the same input, under a new id."""

    async def act(x: Examination) -> tuple[str, str]:
        found = await workflows.find(x, workflow_id)
        info = found.workflow_execution_info
        running = " It still runs: the message may be answered twice." if info.status == proto.RUNNING else ""
        _ask(f"Start {info.execution.workflow_id} ({info.type.name}) again?{running}", yes=yes)
        return await workflows.retry(x, found)

    new_id, queue = _run(context, act)
    if as_json:
        print_json({"version": 1, "id": new_id, "queue": queue, "done": "retry"})
    else:
        click.echo(f"started {new_id} in {queue}; `mika doctor --workflow {new_id}` tells how it goes")


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        confirm(question)


def _run(context: Context, work: Callable[[Examination], Awaitable[T]]) -> T:
    """Do it with a connection. What Temporal refuses becomes a line."""
    from temporalio.service import RPCError

    config = context.load_started()

    async def main() -> T:
        x = Examination(config, ProjectDir(config.project))
        try:
            return await work(x)
        except RPCError as error:
            raise MikaError(f"Temporal refuses: {error}", "`mika doctor` checks it", code="temporal_error") from None
        finally:
            await x.close()

    return asyncio.run(main())
