"""`mika init`."""

from __future__ import annotations

import click

from mika.cli.context import Context, confirm, is_terminal
from mika.cli.found import look, settle, unanswered
from mika.cli.language import echo
from mika.cli.screen.proposal import render
from mika.cli.spelling import say
from mika.detect import written
from mika.errors import UsageError
from mika.wording import _, joined


@click.command("init")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Replace a Procfile and a mika.toml that exist.")
@click.pass_obj
def init_command(context: Context, dry_run: bool, yes: bool, force: bool) -> None:
    """Find out what runs in this project, and write it down: a Procfile and a mika.toml.

    Only reads: nothing of the project is imported or run. Asks what cannot be known.
    """
    config = context.load()
    if dry_run:
        proposal = look(config, {})
        echo(render(proposal, config), err=True)
        for name, text in (("Procfile", written.procfile(proposal)), ("mika.toml", written.mika_toml(proposal))):
            echo(f"\n--- {name}\n{text}".removesuffix("\n"))
        if proposal.questions:
            raise unanswered(proposal)
        return
    existing = [name for name in ("Procfile", "mika.toml") if (config.project / name).exists()]
    if existing and not force:
        raise UsageError(
            _(
                "{folder} already has {files}; nothing was written",
                folder=config.project,
                files=joined(_(" and "), existing),
            ),
            _("`mika init --dry-run` shows what it would write; with --force, it replaces what is there"),
        )
    asks = is_terminal() and not yes
    proposal, _answers = settle(config, (), may_ask=asks)
    if asks:
        confirm("\n" + _("Write this to Procfile and mika.toml?"))
    for name, text in (("mika.toml", written.mika_toml(proposal)), ("Procfile", written.procfile(proposal))):
        try:
            (config.project / name).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise UsageError(
                _("{file}: cannot be written: {error}", file=name, error=error.strerror or error)
            ) from None
    say(_("wrote Procfile and mika.toml: look at them, then `mika up`"))
