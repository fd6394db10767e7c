"""What every command needs: the project folder, its configuration, and the stack that may run in it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mika.cli.language import echo, safe, shown
from mika.cli.screen.colours import BAD, paint
from mika.cli.spelling import pasteable
from mika.errors import InterruptedByUserError, MikaError, UsageError
from mika.frozen import frozen
from mika.text import existing_folder
from mika.wording import _

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty
    from mika.config.load import Config
    from mika.control.client import Client
    from mika.project.folder import ProjectDir


class Context:
    """Made once by the group from the global options. It imports only what a command asks for: each must start fast."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def load(self, overrides: Mapping[str, str | None] | None = None) -> Config:
        from mika.config import load as config

        return config.load(self.project, overrides)

    def load_started(self, overrides: Mapping[str, str | None] | None = None) -> Config:
        """As the stack that runs here was started: another terminal, or an older `.env`, may have had other ports."""
        config = self.load(overrides)
        state = self.folder.read_state()
        return config.as_started(state.addresses) if state is not None and self.folder.is_locked() else config

    @property
    def folder(self) -> ProjectDir:
        """Its `.mika`. Raises UsageError when there is no such project folder."""
        from mika.project.folder import ProjectDir

        return ProjectDir(existing_folder(self.project))

    @property
    def client(self) -> Client:
        """The stack that runs here, if one does."""
        from mika.control.client import Client

        return Client(self.folder)

    def timeout(self, option: str | None) -> float:
        """Seconds of --timeout, else MIKA_TIMEOUT. A configuration that is broken must not keep anybody from `down`."""
        from mika.config import load as config

        with contextlib.suppress(UsageError):
            return self.load({"MIKA_TIMEOUT": option}).number("MIKA_TIMEOUT")
        seconds = config.option("MIKA_TIMEOUT", option)
        assert isinstance(seconds, int | float)  # noqa: S101 - the setting's type
        return seconds


def print_json(value: object) -> None:
    import json

    # A program reads this: where standard output is not UTF-8 (a pipe on Windows), escapes lose nothing.
    utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(value, ensure_ascii=not utf8, indent=2))


END_OF_INPUT: str = _("Ctrl-Z and Enter") if sys.platform == "win32" else "Ctrl-D"
"""What ends what is typed."""


json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
)


look_option: Callable[[Any], Any] = click.option(
    "--pretty/--raw",
    default=None,
    help="Readable lines, or the bytes as the process wrote them. Default: readable on a terminal.",
)


@frozen
class Look:
    """How logs are shown. `pretty`: of `look_option`; `plain`: lines only, without a status line and keys."""

    pretty: bool | None = None
    plain: bool = False


def wanted_color() -> bool | None:
    """Whether there are to be colours, by NO_COLOR and FORCE_COLOR; None: where there is a terminal."""
    return False if "NO_COLOR" in os.environ else True if "FORCE_COLOR" in os.environ else None


def use_color() -> bool:
    """Whether standard output shows colours: FORCE_COLOR, NO_COLOR, else whether it is a terminal."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return sys.stdout.isatty()


def make_pretty(look: bool | None, names: Sequence[str], root: Path, *, alone: bool = False) -> Pretty | None:
    """What shows the lines of these logs, as `look_option` asks for; None for their bytes."""
    if not (sys.stdout.isatty() if look is None else look):
        return None
    from mika.cli.screen.pretty import Pretty

    return Pretty(names, root, color=use_color(), alone=alone)


def confirm(question: str) -> None:
    """Return after a yes. Raises InterruptedByUserError after a no, and UsageError where nobody answers (a script)."""
    try:
        agreed = is_yes(question)
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise  # Ctrl-C
        echo(err=True)
        raise UsageError(_("nothing was done: nobody answered the question"), _("in a script, give --yes")) from None
    if not agreed:
        raise InterruptedByUserError(_("nothing was done: the answer was no"))


def is_yes(question: str) -> bool:
    """The answer, on standard error. As `click.confirm`, which speaks English only. Raises click.Abort."""
    while True:
        answer = (
            click.prompt(f"{safe(pasteable(shown(question)))} [y/N]", default="", show_default=False, err=True)
            .strip()
            .lower()
        )
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False
        echo(_("Error: invalid input"), err=True)


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show_error(error: MikaError, *, as_json: bool) -> None:
    """The error as a person or a program reads it."""
    if as_json:
        print_json({"version": 1, "error": {"code": error.code, "message": error.message, "hint": error.hint}})
        return
    # For all other lines the context of the command decides this, but the command has ended.
    echo(f"{paint('mika:', BAD)} {pasteable(shown(error.message))}", err=True, color=wanted_color())
    if error.hint:
        echo("\n".join(f"      {line}" for line in pasteable(shown(error.hint)).splitlines()), err=True)


def harden_streams() -> None:
    """Output is UTF-8 where the terminal can show it, and never an exception where it cannot (GBK, LANG=C)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller (`mika up >&-`): cron and service managers do that
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as we live
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    if sys.platform == "win32":
        from mika.cli.screen._windows import understand_escapes

        understand_escapes()
