"""`mika history`."""

from __future__ import annotations

from dataclasses import asdict

import click

from mika.cli.context import Context, confirm, json_option, print_json
from mika.cli.group import Group
from mika.cli.language import echo, shown
from mika.stack.history import forget, show
from mika.text import plain
from mika.wording import _

_TYPES = {"private": _("private"), "group": _("in a group")}
_group = click.option("--group", metavar="ID", help="Only what was said in this group (empty: only private messages).")


@click.group("history", cls=Group)
def history_command() -> None:
    """What the bot keeps of a user, as the bot's API tells it."""


@history_command.command("show")
@click.argument("user")
@_group
@json_option
@click.pass_obj
def show_command(context: Context, user: str, group: str | None, as_json: bool) -> None:
    """Print the messages of USER and their replies, oldest first."""
    turns = show(context.load_started(), user, group)
    if as_json:
        print_json({"version": 1, "user": user, "turns": [asdict(turn) for turn in turns]})
        return
    for turn in turns:
        echo(f"{_safe(turn.at)}  {shown(_TYPES.get(turn.message_type, _safe(turn.message_type)))}")
        for mark, text in (("<", turn.message), (">", turn.reply)):
            for line in text.splitlines():
                echo(f"  {mark} {_safe(line)}")
    if not turns:
        echo(_("nothing is kept of {user}{where}", user=user, where=_where(group)))


@history_command.command("forget")
@click.argument("user")
@_group
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def forget_command(context: Context, user: str, group: str | None, yes: bool, as_json: bool) -> None:
    """Delete what the bot keeps of USER.

    Temporal keeps the messages of the last days in its own database until its retention ends.
    """
    config = context.load_started()
    if not yes:
        confirm(_("Delete all that the bot keeps of {user}{where}?", user=user, where=_where(group)))
    count = forget(config, user, group)
    if as_json:
        print_json({"version": 1, "user": user, "forgotten": count})
        return
    where = _where(group)
    if count == 1:
        echo(_("forgotten: 1 message of {user}{where}, with the replies", user=user, where=where))
    else:
        echo(_("forgotten: {count} messages of {user}{where}, with the replies", count=count, user=user, where=where))


def _safe(text: str) -> str:
    """What a user wrote must not control the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\ufffd" for letter in plain(text))


def _where(group: str | None) -> str:
    if group is None:
        return ""
    return _(" in group {group}", group=group) if group else _(" in private messages")
