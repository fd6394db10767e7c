"""`mika why-silent`: why the bot did not answer."""

from __future__ import annotations

from dataclasses import asdict

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.spelling import say
from mika.stack.silence import why_silent
from mika.wording import _


@click.command("why-silent")
@click.argument("what", metavar="ID|TEXT")
@json_option
@click.pass_obj
def why_silent_command(context: Context, what: str, as_json: bool) -> None:
    """Why the bot did not answer a chat message: give its id, or all of its text.

    The API remembers the latest messages until it is restarted. Exit code 1: it knows none like this.
    """
    found = why_silent(what, context.load_started())
    if as_json:
        print_json({"version": 1, "found": [asdict(message) for message in found]})
        return
    for message in found:
        outcome = _("taken") if message.taken else _("not answered ({reason})", reason=message.reason)
        say(
            _(
                "{at}  {door}  {outcome}: {finding}",
                at=message.at,
                door=message.door,
                outcome=outcome,
                finding=message.finding,
            )
        )
        if message.fix:
            say("      " + message.fix)
