"""`mika help`."""

from __future__ import annotations

import click

from mika.cli.language import echo, shown
from mika.cli.language.help import Context
from mika.cli.names import of_help
from mika.cli.spelling import pasteable
from mika.cli.topics import TOPICS
from mika.errors import UsageError
from mika.text import did_you_mean
from mika.wording import _


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND|TOPIC]", shell_complete=of_help)
@click.pass_context
def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Help about a command (as COMMAND --help), or about a topic."""
    root = ctx.find_root()
    if not words:
        topics = [f"  {name:<12}{shown(about)}" for name, (about, _text) in TOPICS.items()]
        echo("\n".join([root.get_help(), "", pasteable(shown(_("Topics, for `mika help TOPIC`:"))), *topics]))
        return
    texts = [text for text in (_of_command(root, words), _of_topic(words)) if text]
    if not texts:
        commands = root.command.list_commands(root) if isinstance(root.command, click.Group) else []
        name = " ".join(words)
        near = did_you_mean(name, [*commands, *TOPICS])
        raise UsageError(
            _("no command or topic is named '{name}'{suggestion}", name=name, suggestion=near),
            _("`mika help` lists them"),
        )
    echo("\n\n".join(texts))


def _of_topic(words: tuple[str, ...]) -> str:
    name = "-".join(words).lower()
    return pasteable(shown(TOPICS[name][1])) if name in TOPICS else ""


def _of_command(context: click.Context, words: tuple[str, ...]) -> str:
    """Empty if there is no such command."""
    for word in words:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, click.Group) else None
        if command is None:
            return ""
        context = Context(command, info_name=word, parent=context)
    return context.get_help()
