"""`mika send`."""

from __future__ import annotations

import getpass
from dataclasses import asdict

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.spelling import pasteable
from mika.stack.send import send


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no entry for this uid; on Windows, no USERNAME
        return "developer"


@click.command("send")
@click.argument("text")
@click.option("--user", metavar="ID", default=_login, help="Who sends it (default: your login name).")
@click.option("--group", metavar="ID", help="The group it is sent to (default: a private message).")
@click.option("--timeout", metavar="S", help="Give up after this many seconds (default: the run time-out).")
@json_option
@click.pass_obj
def send_command(context: Context, text: str, user: str, group: str | None, timeout: str | None, as_json: bool) -> None:
    """Send TEXT as a chat message and print the reply.

    While a worker or the API is being restarted the message waits; it is started once, whatever happens.
    """
    config = context.load_started({"MIKA_TIMEOUT": timeout})
    reply = send(
        text,
        user=user,
        group=group,
        config=config,
        status=context.client.status,
        timeout=config.number("MIKA_TIMEOUT" if timeout is not None else "WORKFLOW_RUN_TIMEOUT"),
        say=lambda line: click.echo(pasteable(line), err=True),
    )
    if as_json:
        print_json({"version": 1, **asdict(reply)})
    else:
        click.echo(reply.response)
