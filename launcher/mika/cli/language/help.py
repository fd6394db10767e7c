"""click's help in the user's language. The texts stand where click wants them; here they are looked up."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

import click

from mika.cli.language import shown
from mika.cli.screen.width import width, wrapped
from mika.wording import Text, _

OF_CLICK = (
    _("Usage: "),
    _("Options"),
    _("Commands"),
    _("Show this message and exit."),
    _("Show the version and exit."),
)
"""What click itself says."""

_AS_IT_IS = "\b\n"
"""click then keeps the lines of a paragraph: it counts characters, where Chinese needs columns."""
_EXTRAS = r"  \[([^][]*)\]$"
"""What click appends to the help of an option: `[default: 3; required]`."""
_SENTENCE = r".+?(?:\.(?=\s|$)|(?=。))"
"""As the one above, it is compiled only where help is shown: each command imports this module."""


class _Formatter(click.HelpFormatter):
    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, shown_help("Usage: ") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        indent = " " * self.current_indent
        self.write(f"{indent}{shown(_('{heading}:', heading=Text(heading, heading)))}\n")

    def write_text(self, text: str) -> None:
        super().write_text(_in_lines(shown_help(text), self.width - self.current_indent))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = [(term, shown_help(text)) for term, text in rows]
        first = min(max((width(term) for term, _text in rows), default=0), col_max) + col_spacing
        columns = self.width - self.current_indent - first
        super().write_dl([(term, _in_lines(text, columns)) for term, text in rows], col_max, col_spacing)


class Context(click.Context):
    formatter_class = _Formatter


def shown_help(text: str) -> str:
    """The whole help of a command or an option, in the user's language."""
    extras = re.search(_EXTRAS, text)
    if extras is None:
        return shown(Text(text, text))
    template = text[: extras.start()]
    return f"{shown(Text(template, template))}  [{'; '.join(map(_shown_extra, extras[1].split('; ')))}]"


def _shown_extra(extra: str) -> str:
    if extra == "required":
        return shown(_("required"))
    if extra.startswith("default: "):
        return shown(_("default: {value}", value=extra.removeprefix("default: ")))
    return extra


def first_sentence(text: str) -> str:
    """Of the help of a command, for the list of its group."""
    whole = shown_help(inspect.cleandoc(text))
    sentence = re.match(_SENTENCE, whole, re.DOTALL)
    return " ".join((sentence[0] if sentence else whole.split("\n\n")[0]).split())


def _in_lines(text: str, columns: int) -> str:
    """A text for click, with the lines of each paragraph that click could not break."""
    return "\n\n".join(
        part if part.isascii() or part.startswith("\b") else _AS_IT_IS + "\n".join(wrapped(part, columns))
        for part in text.split("\n\n")
    )
