"""`mika send`."""

from __future__ import annotations

import contextlib
import getpass
import locale
import sys
from collections.abc import Callable
from dataclasses import asdict

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.kinds import Choice
from mika.cli.language import echo
from mika.cli.spelling import say
from mika.errors import MikaError, NotRunningError, UsageError
from mika.stack import api
from mika.stack.send import Reply, send
from mika.text import UTF16
from mika.wording import _

_NO_BOT = "mika-send"
"""No bot of LangBot has this id, so what it is asked to send for it reaches no chat."""
_LOOK_SECONDS = 2.0
"""For the look at whether there is an API at all."""


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no entry for this uid; on Windows, no USERNAME
        return "developer"


@click.command("send")
@click.argument("text", required=False)
@click.option("--user", metavar="ID", default=_login, help="Who sends it (default: your login name).")
@click.option("--group", metavar="ID", help="The group it is sent to (default: a private message).")
@click.option("--as", "door", type=Choice(["langbot"]), help="Send it as LangBot does: as an event.")
@click.option("--bot", metavar="ID", help="With --as langbot: its bot that sends the reply. Without, no chat gets it.")
@click.option("--timeout", metavar="S", help="Give up after this many seconds (default: the run timeout).")
@json_option
@click.pass_obj
def send_command(
    context: Context,
    text: str | None,
    user: str,
    group: str | None,
    door: str | None,
    bot: str | None,
    timeout: str | None,
    as_json: bool,
) -> None:
    """Send TEXT as a chat message and print the reply; - reads it from standard input.

    Without TEXT, on a terminal, it is a chat: a line is a message, Ctrl-D ends (on Windows Ctrl-Z and Enter).

    While a worker or the API is being restarted the message waits; it is started once, whatever happens.

    With --as langbot, the bot sends its reply through LangBot, and this prints what it sent. For a reply in a real
    chat, name a bot of LangBot (--bot), and a user or group that it knows. Exit code 1 if no chat can get it.
    """
    if bot is not None and door is None:
        raise UsageError(_("--bot belongs to --as langbot"), _("add --as langbot, or leave --bot out"))

    def ask(message: str) -> Reply:
        config = context.load_started({"MIKA_TIMEOUT": timeout})
        return send(
            message,
            user=user,
            group=group,
            bot=(bot or _NO_BOT) if door else None,
            config=config,
            status=context.client.status,
            timeout=config.number("MIKA_TIMEOUT" if timeout is not None else "WORKFLOW_RUN_TIMEOUT"),
            say=lambda line: say(line, err=True),
        )

    if text is None:
        _chat(context, lambda message: _show(ask(message)), as_json=as_json)
        return
    reply = ask(_standard_input() if text == "-" else text)
    if as_json:
        print_json({"version": 1, **asdict(reply)})
    else:
        _show(reply)
    if reply.delivery in ("none", "refused") or (bot is not None and reply.delivery not in ("", "sent")):
        raise SystemExit(1)


def _show(reply: Reply) -> None:
    echo(reply.response)
    if reply.delivery:
        how = reply.delivery.replace("_", " ")  # a word of the API, as its documents name it
        say(
            _("delivery: {how}: {detail}", how=how, detail=reply.detail)
            if reply.detail
            else _("delivery: {how}", how=how),
            err=True,
        )


def _chat(context: Context, answer: Callable[[str], None], *, as_json: bool) -> None:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            _("TEXT is missing"),
            _('give it: `mika send "hello"`, or `mika send -` to read standard input'),
            code="usage",
        )
    try:
        api.ask(context.load_started(), "GET", "/healthz", timeout=_LOOK_SECONDS)
    except NotRunningError:  # better now than after the first message
        raise
    except MikaError:  # it is being restarted: a message waits for it
        pass
    from mika.cli.chat import chat

    chat(answer, context.folder.chat_history)


def _standard_input() -> str:
    """Raises UsageError for what is no text."""
    data = sys.stdin.buffer.read()
    for encoding in ("utf-16",) if data.startswith(UTF16) else ("utf-8-sig", locale.getencoding()):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            return data.decode(encoding).rstrip("\r\n")
    raise UsageError(_("standard input is not text in UTF-8"), _how_to_convert())


def _how_to_convert() -> str:
    if sys.platform == "win32":
        return _("save it as UTF-8 first")
    return _("convert it first: `iconv -t utf-8`")
