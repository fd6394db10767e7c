"""Kinds of lines that programs write by the thousand: one pattern reads such a line, at a third of what `read` costs.

A pattern takes only what stands in the line as it will be shown. So it finds what `read` finds, or it does not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mika.records.reading import LEVELS, LOGFMT, LOGFMT_PAIR, OF_THE_PROCESS, Keys, keys_of, level_of_number, read
from mika.records.record import Level, level_of

_TIME = (  # of a year in which there are such programs, so that its fraction decides nothing
    r"([2-9]\d{3}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):\d\d:\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d|)"
)
_TIMES = (f'"{_TIME}"', r"([1-8]\d{9})(?:\d{3}|\.\d{1,6})?()")  # the second is in seconds since 1970, or milliseconds
_NOT_ASCII = r"\u3001-\u3011\u4e00-\u9fa5\uff01-\uff5e"  # Chinese; all else is left to `read`
_CHARACTER = rf"[ !#-\[\]-~{_NOT_ASCII}]"  # that is shown as it is, and stands in JSON as it is
_MESSAGE = rf'"({_CHARACTER}*+)"'  # possessive, as what follows is no such character: a tenth faster
_VALUES = (
    rf'"({_CHARACTER}{{1,200}}+)"',
    r"(true|false|null)",
    r"(0|-?[1-9]\d{0,14})",
    r"(-?(?:0\.(?!0000)|[1-9]\d{0,6}\.)(?:0|\d{0,7}[1-9]))",  # without an exponent, and as short as it can be
)
_BARE = rf"[!#-~{_NOT_ASCII}]"  # that may stand in logfmt without quotes
_LOGFMT_TIMES = (f'"{_TIME}"', _TIME.replace("[T ]", "T"))
_LOGFMT_MESSAGES = (_MESSAGE, f"({_BARE}*+)")
_LOGFMT_VALUES = (_VALUES[0], f"({_BARE}{{1,200}}+)")
_PAIR = re.compile(r'"([^"]*)"(: ?)("[^"]*"|[\w.+-]+)(, ?|\})')
_FLAT = re.compile(rf"\{{(?:{_PAIR.pattern})+")


class _Field(NamedTuple):
    """One of a sample line: what stands before its value, the patterns that the value may have, and what follows it."""

    name: str
    before: str
    sample: str
    choices: Sequence[str]
    after: str


class Kind(NamedTuple):
    """`message` is for `str.format`, and the other numbers are groups of the pattern, too; 0: it has none.

    `time` begins two groups, up to the second and the zone; `fields` have their names.
    """

    match: Callable[[str], re.Match[str] | None]
    message: str
    time: int
    level: int
    fields: tuple[tuple[str, int], ...] = ()
    level_of: Callable[[str], Level | None] = level_of


_LOGGING = Kind(
    re.compile(
        rf'{_TIME} - (?!root )([\w.]{{1,200}}) - ({LEVELS}) - (?!\S{{1,64}} - ")([ -~{_NOT_ASCII}]*[!-~{_NOT_ASCII}])',
        re.ASCII,
    ).fullmatch,
    message="{5}",
    time=1,
    level=4,
    fields=(("logger", 3),),
)
"""`2026-11-28 03:30:18,123 - name - INFO - text`"""
_ACCESS = Kind(
    re.compile(
        rf'({LEVELS}): {{1,10}}[!-~]{{1,64}} - "([A-Z]{{3,10}} [!-~]+) HTTP/[\d.]+"( \d{{3}})(?: [ -~]*)?', re.ASCII
    ).fullmatch,
    message="{2}{3}",
    time=0,
    level=1,
)
"""Uvicorn's `INFO:     127.0.0.1:51234 - "GET /path HTTP/1.1" 200 OK`"""
TEXTS = {**dict.fromkeys("23456789", _LOGGING), **dict.fromkeys({name[0] for name in LEVELS.split("|")}, _ACCESS)}
"""By the first character of a line."""


def kind_of(text: str) -> Kind | None:
    """Of a line of JSON or logfmt; None if not all of its values are plain, or `read` cannot read it."""
    if not text.isprintable() or read(text) is None:
        return None
    return _kind_of_json(text) if text[:1] == "{" else _kind_of_logfmt(text)


def _kind_of_json(text: str) -> Kind | None:
    if _FLAT.fullmatch(text) is None:
        return None
    pairs: list[tuple[str, str, str, str]] = _PAIR.findall(text)
    keys = keys_of(tuple(name for name, *_ in pairs), OF_THE_PROCESS)
    if keys is None:
        return None
    fields = []
    for name, colon, sample, comma in pairs:
        choices = (_MESSAGE,) if name == keys.message else _TIMES if name == keys.time else _VALUES
        fields.append(_Field(name, f'"{name}"{colon}', sample, choices, comma))
    is_number = any(name == keys.level and sample.isdecimal() for name, _colon, sample, _comma in pairs)
    return _kind("{", fields, keys, level_of_number if is_number else level_of)


def _kind_of_logfmt(text: str) -> Kind | None:
    if LOGFMT.fullmatch(text) is None:
        return None
    pairs = list(LOGFMT_PAIR.finditer(text))
    keys = keys_of(tuple(pair[1] for pair in pairs))
    if keys is None:
        return None
    fields = []
    for pair in pairs:
        name, sample = pair.groups()
        choices = _LOGFMT_MESSAGES if name == keys.message else _LOGFMT_TIMES if name == keys.time else _LOGFMT_VALUES
        fields.append(_Field(name, f"{name}=", sample, choices, text[pair.end(2) : pair.end()]))
    return _kind("", fields, keys, level_of)


def _kind(begin: str, fields: Sequence[_Field], keys: Keys, as_level: Callable[[str], Level | None]) -> Kind | None:
    pattern, groups, count = re.escape(begin), dict[str | None, int](), 1
    for name, before, sample, choices, after in fields:
        value = next((choice for choice in choices if re.fullmatch(choice, sample, re.ASCII)), None)
        if value is None or name in groups:
            return None
        pattern += re.escape(before) + value + re.escape(after)
        groups[name] = count
        count += re.compile(value).groups
    return Kind(
        re.compile(pattern, re.ASCII).fullmatch,
        f"{{{groups[keys.message]}}}",
        groups.get(keys.time, 0),
        groups.get(keys.level, 0),
        tuple((name, groups[name]) for name in keys.others),
        as_level,
    )
