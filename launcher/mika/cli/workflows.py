"""`mika workflows`: the latest ones and what is wrong with them."""

from __future__ import annotations

import click

from mika.cli.asking import ask
from mika.cli.context import json_option, print_json
from mika.cli.group import Group
from mika.cli.kinds import Whole
from mika.cli.language import echo, shown
from mika.cli.screen.colours import BAD, paint
from mika.cli.screen.fields import in_one_line
from mika.cli.screen.states import status
from mika.cli.screen.width import cut, pad, width
from mika.cli.spelling import say
from mika.cli.workflows_act import COMMANDS
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import Cause, seconds
from mika.doctor.workflows.ids import short_ids
from mika.doctor.workflows.listing import Row, latest
from mika.wording import _

_WIDEST_WHO = 11  # columns: eight characters, and what says that more follow


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
        echo(render(rows) if rows else _("there are none"))
        stuck = [row for row in rows if row.status == "running" and row.diagnosis.cause == Cause.WORKFLOW_TASK_FAILING]
        if stuck:
            say(
                "\n"
                + _(
                    "stuck: {count}; {command} says why; when the code is fixed and its worker restarted, they go on;"
                    " those that do not: `mika workflows reset --stuck --to last-good`",
                    count=len(stuck),
                    command=for_workflow("doctor --workflow", stuck[0].id),
                )
            )


def render(rows: list[Row]) -> str:
    """As a table. Of long random ids only as much as names each: every command takes such a part.

    A column in which nothing would stand is left out.
    """
    short = short_ids([row.id for row in rows])
    columns = {
        _("AGE"): [seconds(row.age) for row in rows],
        _("STATE"): [status(row.status) for row in rows],
        _("TOOK"): ["" if row.took is None else seconds(row.took) for row in rows],
        _("WHO"): [cut(row.who or "", _WIDEST_WHO) for row in rows],
        _("TRIES"): [str(row.attempts or "") for row in rows],
        _("CAUSE"): ["-" if row.ok else str(row.diagnosis.cause) for row in rows],
        "ID": [part if part.isprintable() else in_one_line(part) for part in (short[row.id] for row in rows)],
    }
    kept = {title: list(map(shown, cells)) for title, cells in columns.items() if any(cells)}
    widths = {title: max(map(width, (shown(title), *cells))) for title, cells in kept.items()}
    lines = ["  ".join(pad(shown(title), widths[title]) for title in kept).rstrip()]
    for number, row in enumerate(rows):
        cells = {title: pad(cells[number], widths[title]) for title, cells in kept.items()}
        if not row.ok:
            cells["CAUSE"] = paint(cells["CAUSE"], BAD)
        lines.append("  ".join(cells.values()).rstrip())
    return "\n".join(lines)


for _command in COMMANDS:
    workflows_command.add_command(_command)
