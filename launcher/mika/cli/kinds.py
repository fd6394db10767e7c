"""Kinds of values that options and arguments take. A wrong one is told in mika's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mika.errors import UsageError
from mika.text import did_you_mean
from mika.wording import _, listed

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # a generic class only since click 8.2


def label(param: click.Parameter | None) -> str:
    """As its help shows it: `-n/--lines`, or `NAME` of an argument."""
    if param is None:
        return _("a value")
    if isinstance(param, click.Option):
        return "/".join(param.opts)
    return (param.metavar or (param.name or "").upper()).strip("[].")


class Choice(_Choice):
    """One of several words."""

    def __init__(self, choices: Sequence[str]) -> None:
        super().__init__(choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Raises UsageError."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            meant = did_you_mean(str(value), self.choices)
            is_clear = meant and len(self.choices) == 1
            others = "" if is_clear else _("one of {choices}", choices=listed(self.choices))
            message = _(
                "{option}: there is no '{value}'{suggestion}", option=label(param), value=value, suggestion=meant
            )
            raise _wrong(message, others) from None


class Whole(click.IntRange):
    """A whole number from `min` to `max`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Raises UsageError."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            limits = _range(self.min, self.max)
            raise _wrong(
                _("{option}: '{value}' is not a whole number{limits}", option=label(param), value=value, limits=limits)
            ) from None


class Number(click.FloatRange):
    """A number from `min` to `max`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Raises UsageError."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            limits = _range(self.min, self.max, is_open=self.min_open)
            raise _wrong(
                _("{option}: '{value}' is not a number{limits}", option=label(param), value=value, limits=limits)
            ) from None


def _range(least: float | None, most: float | None, *, is_open: bool = False) -> str:
    if least is None:
        return "" if most is None else _(" up to {most:g}", most=most)
    if is_open:
        if most is None:
            return _(" above {least:g}", least=least)
        return _(" above {least:g} and up to {most:g}", least=least, most=most)
    if most is None:
        return _(" of {least:g} or more", least=least)
    return _(" from {least:g} to {most:g}", least=least, most=most)


def _wrong(message: str, hint: str = "") -> UsageError:
    error = UsageError(message, hint)
    error.code = "usage"
    return error
