"""click's errors in mika's words: what is wrong, the nearest name, and where to read more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mika.cli.kinds import label
from mika.errors import UsageError
from mika.quoting import command_line
from mika.text import did_you_mean
from mika.wording import _


def explain(error: click.ClickException, command: click.Command, argv: Sequence[str]) -> UsageError:
    """`command`: the one that was asked for, where the error itself does not know. `argv`: all that was typed."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    used = context.command if context is not None else command
    told = UsageError(*_told(error, context, used, argv))
    told.code, told.exit_code = "usage", error.exit_code
    return told


def no_command(group: str, name: str, commands: Sequence[str]) -> str:
    """`group`: the words before it, `mika workflows`."""
    command, near = f"{group} {name}".removeprefix("mika "), did_you_mean(name, commands)
    return _("there is no command '{command}'{suggestion}", command=command, suggestion=near)


def _told(
    error: click.ClickException, context: click.Context | None, command: click.Command, argv: Sequence[str]
) -> tuple[str, str]:
    """(what is wrong, what to do)."""
    path = context.command_path if context is not None else f"mika {command.name}" if command.name != "cli" else "mika"
    see = _("see `{command} --help`", command=path)
    match error:
        case click.NoSuchOption():
            name = error.option_name
            if context is not None and name in _options(context.find_root().command) and name in argv:
                return _("{option} belongs before the command", option=name), f"`{_moved_first(name, argv)}`"
            near = did_you_mean(name, _options(command))
            return _("there is no option '{option}'{suggestion}", option=name, suggestion=near), see
        case click.exceptions.MissingParameter():
            return _("{option} is missing", option=label(error.param)), see
        case click.BadOptionUsage():
            if _is_flag(command, error.option_name):
                return _("{option}: it takes no value", option=error.option_name), see
            return _("{option}: its value is missing", option=error.option_name), see
        case click.BadParameter():
            return _("{option}: {error}", option=label(error.param), error=error.message), see
        case click.UsageError() if left := _left_over(context, argv):
            return _("'{words}' is too much", words=" ".join(left)), _where_it_belongs(command) + see
    return error.format_message(), see


def _where_it_belongs(command: click.Command) -> str:
    """What takes a word that is too much, where that is likely: most commands just take no more."""
    known = set(_options(command))
    if "--input" in known:
        return _("`--input` takes an argument of the workflow; ")
    if "--workflow" in known:
        return _("`--workflow` takes the id of a workflow; ")
    takes_text = any("TEXT" in label(param) for param in command.params if isinstance(param, click.Argument))
    return _("put quotes around what has spaces; ") if takes_text else ""


def _options(command: click.Command) -> Iterator[str]:
    for param in command.params:
        if isinstance(param, click.Option):
            yield from (*param.opts, *param.secondary_opts)
    yield from ("--help", "-h")


def _is_flag(command: click.Command, option: str) -> bool:
    """Of the command, or of one below it."""
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    params = [param for each in commands for param in each.params if isinstance(param, click.Option)]
    return any(option in (*param.opts, *param.secondary_opts) and param.is_flag for param in params)


def _moved_first(option: str, argv: Sequence[str]) -> str:
    """The same command, with this option and its value in front."""
    at = argv.index(option)
    return command_line(["mika", *argv[at : at + 2], *argv[:at], *argv[at + 2 :]])


def _left_over(context: click.Context | None, argv: Sequence[str]) -> list[str]:
    """What the command does not take of what was typed after its name."""
    name = context.info_name if context is not None else None
    if context is None or name is None or name not in argv:
        return []
    words = list(argv[argv.index(name) + 1 :])
    return list(context.command.make_parser(context).parse_args(words)[1])
