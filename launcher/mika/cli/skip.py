"""`mika skip`: the timers of one workflow fire now."""

from __future__ import annotations

import sys

import click

from mika.cli.asking import ask
from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo
from mika.cli.spelling import say
from mika.diagnosis.commands import for_workflow
from mika.doctor.workflows.skipping import skip, told
from mika.errors import FAILED, OK
from mika.text import duration
from mika.wording import _


def _say(text: str) -> None:
    say(text, err=True)  # not to standard output, which is for the result


@click.command("skip")
@click.argument("workflow_id", metavar="ID")
@click.argument("length", metavar="DURATION")
@json_option
@click.pass_obj
def skip_command(context: Context, workflow_id: str, length: str, as_json: bool) -> None:
    """Set the clock of one workflow forward, such as by 30d, 1h30m or 45s: its timers fire now.

    Other workflows keep their time; its activities really run. Exit code 1: it waits for something else, and why.
    """
    seconds, limit = duration(length), context.timeout(None)
    skipped = ask(context, lambda exam: skip(exam, workflow_id, seconds, limit, _say))
    if as_json:
        print_json(skipped.as_json())
    else:
        for line in told(skipped):
            echo(line)
        if skipped.obstacle is not None:
            echo(_("not there yet: {finding}", finding=skipped.obstacle.finding))
            say("      " + (skipped.obstacle.fix or for_workflow("doctor --workflow", skipped.id)))
    sys.exit(OK if skipped.obstacle is None else FAILED)
