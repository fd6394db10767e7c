"""A group of commands that says which one may have been meant, and gives help in the user's language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mika.cli.language.help import Context, first_sentence
from mika.errors import UsageError
from mika.wording import _

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Group(click.Group):
    """In place of click's own."""

    context_class = Context

    def find(self, name: str) -> click.Command | None:
        """Its command of that name."""
        return self.commands.get(name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        command = self.find(cmd_name)
        if command is not None:
            command.context_class = Context
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.short_help_of(name)) for name in self.list_commands(ctx)])

    def short_help_of(self, name: str) -> str:
        """Of one of its commands, in the user's language."""
        return first_sentence(self.commands[name].help or "")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        known = self.list_commands(ctx)
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            if item.value in known:
                item.help = self.short_help_of(item.value)
        return items

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from mika.cli.misuse import no_command

            error = UsageError(
                no_command(ctx.command_path, args[0], self.list_commands(ctx)),
                _("see `{command} --help`", command=ctx.command_path),
            )
            error.code = "usage"
            raise error
        return super().resolve_command(ctx, args)
