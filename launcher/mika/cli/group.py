"""A group of commands that says which one may have been meant."""

from __future__ import annotations

import click

from mika.errors import UsageError


class Group(click.Group):
    """In place of click's own."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from mika.cli.misuse import no_command

            error = UsageError(
                no_command(ctx.command_path, args[0], self.list_commands(ctx)), f"see `{ctx.command_path} --help`"
            )
            error.code = "usage"
            raise error
        return super().resolve_command(ctx, args)
