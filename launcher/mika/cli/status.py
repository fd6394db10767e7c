"""`mika status`."""

from __future__ import annotations

import time

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.screen.table import render
from mika.cli.spelling import pasteable
from mika.errors import NotRunningError, UsageError


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Show it again every second until Ctrl-C.")
@click.pass_obj
def status_command(context: Context, as_json: bool, watch: bool) -> None:
    """Show services, processes and addresses of the running stack."""
    if as_json and watch:
        raise UsageError("--json prints one object; --watch goes on", "use one of them")
    while True:
        try:
            status = context.client.status()
        except NotRunningError as error:
            from mika.supervisor.survivors import describe_survivors, recall
            from mika.supervisor.sweep import sweep_if_idle

            if swept := sweep_if_idle(context.folder):
                error.message += f"; ended what a killed run left: {', '.join(map(str, swept))}"
            if survivors := recall(context.folder):
                reason = describe_survivors(survivors)
                error.message, error.hint = f"{error.message}; {reason.text}", reason.fix
            raise
        if watch:
            click.clear()
        if as_json:
            print_json(status.as_json())
        else:
            click.echo(pasteable(render(status)))
        if not watch:
            return
        time.sleep(1)
