"""`mika status`."""

from __future__ import annotations

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.screen.table import render
from mika.cli.spelling import say
from mika.errors import NotRunningError, UsageError
from mika.status import StackStatus
from mika.wording import _, joined


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Show it again and again, as `mika top` does.")
@click.pass_obj
def status_command(context: Context, as_json: bool, watch: bool) -> None:
    """Show services, processes and addresses of the running stack."""
    if as_json and watch:
        raise UsageError(_("--json prints one object; --watch goes on"), _("use one of them"))
    if watch:
        from mika.cli.top import show

        show(context)
        return
    status = running_status(context)
    if as_json:
        print_json(status.as_json())
    else:
        say(render(status))


def running_status(context: Context) -> StackStatus:
    """Raises NotRunningError, which names what a killed run has left; of that, it ends what it can."""
    try:
        return context.client.status()
    except NotRunningError as error:
        from mika.supervisor.survivors import describe_survivors, recall
        from mika.supervisor.sweep import sweep_if_idle

        if swept := sweep_if_idle(context.folder):
            error.message = error.message + _(
                "; ended what a killed run left: {processes}", processes=joined(_(", "), map(str, swept))
            )
        if survivors := recall(context.folder):
            reason = describe_survivors(survivors)
            error.message = _("{message}; {reason}", message=error.message, reason=reason.text)
            error.hint = reason.fix
        raise
