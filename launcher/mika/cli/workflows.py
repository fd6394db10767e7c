"""`mika workflows`: the latest ones and what is wrong with them."""

from __future__ import annotations

import click

from mika.cli.asking import ask
from mika.cli.context import json_option, print_json
from mika.cli.group import Group
from mika.cli.kinds import Whole
from mika.cli.spelling import pasteable
from mika.cli.workflows_act import COMMANDS
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import Cause, seconds
from mika.doctor.workflows.ids import short_ids
from mika.doctor.workflows.listing import Row, latest


@click.group("workflows", cls=Group, invoke_without_command=True)
@click.option("--failed", is_flag=True, help="Only those that failed, timed out, or were canceled or terminated.")
@click.option("--running", is_flag=True, help="Only those that run.")
@click.option("-n", "count", default=20, show_default=True, type=Whole(1, 1000), help="How many.")
@json_option
@click.pass_context
def workflows_command(click_context: click.Context, failed: bool, running: bool, count: int, as_json: bool) -> None:
    """List the latest workflows with their state and cause, newest first."""
    if click_context.invoked_subcommand is not None:
        return
    rows = ask(click_context.obj, lambda exam: latest(exam, count, failed=failed, running=running))
    if as_json:
        print_json({"version": 1, "workflows": [row.as_json() for row in rows]})
    else:
        click.echo(render(rows) if rows else "there are none")
        stuck = [row for row in rows if row.status == "running" and row.diagnosis.cause == Cause.WORKFLOW_TASK_FAILING]
        if stuck:
            why = f"{for_workflow('doctor --workflow', stuck[0].id)} says why"
            then = "when the code is fixed and its worker restarted, `mika workflows reset --stuck --to last-good`"
            click.echo(pasteable(f"\nstuck: {len(stuck)}; {why}; {then} lets them go on"))


def render(rows: list[Row]) -> str:
    """As a table. Of long random ids only as much as names each: every command takes such a part."""
    table = [["AGE", "STATE", "TOOK", "CAUSE"]]
    table += [
        [seconds(row.age), row.status, "" if row.took is None else seconds(row.took), str(row.diagnosis.cause)]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    short = short_ids([row.id for row in rows])
    shown: list[Row | None] = [None, *rows]
    for cells, row in zip(table, shown, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        if row is not None and not row.ok:
            padded[3] = click.style(padded[3], fg="red")
        lines.append("  ".join([*padded, short[row.id] if row is not None else "ID"]))
    return "\n".join(lines)


for _command in COMMANDS:
    workflows_command.add_command(_command)
