"""The language in which mika speaks to a person: English, or that of a catalogue in `mika/locale`. JSON is English."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click

from mika.errors import UsageError
from mika.wording import Text, _

if sys.platform == "win32":
    from mika.cli.language._windows import preferred
else:
    from mika.cli.language._posix import preferred

ENGLISH, CHINESE = "en", "zh_CN"
CATALOGUES = Path(__file__).parents[2] / "locale"
# Traditional Chinese is another script: who reads it is better served by English than by this catalogue.
_NAMES = {"en": ENGLISH, "c": ENGLISH, "posix": ENGLISH}
_NAMES |= dict.fromkeys(("zh", "zh_cn", "zh_sg", "zh_hans", "zh_hans_cn"), CHINESE)


def _known(name: str) -> str | None:
    """The language of a locale's name (`zh_CN.UTF-8`, `zh-Hans`); None if mika does not speak it."""
    plain = name.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    return _NAMES.get(plain) or _NAMES.get(plain.partition("_")[0] if plain.startswith("en_") else "")


def language() -> str:
    """MIKA_LANG, else the language of the user. Raises UsageError if MIKA_LANG is none that mika speaks."""
    if wanted := os.environ.get("MIKA_LANG"):
        if known := _known(wanted):
            return known
        raise UsageError(_("MIKA_LANG: mika does not speak '{name}'", name=wanted), _("set it to `en` or `zh_CN`"))
    return _known(preferred()) or ENGLISH


def translation() -> Callable[[str], str] | None:
    """None for English."""
    try:
        code = language()
    except UsageError:
        return None  # that error itself is to be shown
    return None if code == ENGLISH else _catalogue(code)


@cache
def _catalogue(code: str) -> Callable[[str], str]:
    import gettext

    return gettext.translation("mika", CATALOGUES, [code], fallback=True).gettext


def shown(text: str) -> str:
    """`text` as the user reads it: a `Text` in the user's language, any other as it is."""
    if isinstance(text, Text) and (translate := translation()) is not None:
        return text.translated(translate)
    return str(text)


def safe(text: str) -> str:
    """What a terminal may be shown of it: it may have words of others, who have no business with this terminal."""
    lines = text.split("\n")
    if all(map(str.isprintable, lines)):
        return text
    from mika.cli.screen.escapes import for_screen

    return "\n".join(map(for_screen, lines))


def echo(text: str = "", *, err: bool = False, color: bool | None = None) -> None:
    """`click.echo` in the user's language, for all that a person reads but logs. It lets only colours through."""
    click.echo(safe(shown(text)), err=err, color=color)
