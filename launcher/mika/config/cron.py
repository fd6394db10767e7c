"""Is a text a cron expression as Temporal understands it? A mistake is found before anything starts."""

from __future__ import annotations

from mika.wording import _

_MONTHS = "january february march april may june july august september october november december"
_DAYS = "sunday monday tuesday wednesday thursday friday saturday"
_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
# Name, lowest and highest value, names of values, the number of the first name, and the shortest form of a name.
_FIELDS = (
    (_("second"), 0, 59, "", 0, 0),
    (_("minute"), 0, 59, "", 0, 0),
    (_("hour"), 0, 23, "", 0, 0),
    (_("day of the month"), 1, 31, "", 0, 0),
    (_("month"), 1, 12, _MONTHS, 1, 3),
    (_("day of the week"), 0, 7, _DAYS, 0, 2),
    (_("year"), 2000, 2100, "", 0, 0),
)
# 5 fields as everywhere; a sixth is the year; with seven, the first is the second.
_BY_COUNT = {5: _FIELDS[1:6], 6: _FIELDS[1:], 7: _FIELDS}


def check_cron(text: str) -> None:
    """Raises ValueError that says what is wrong, and what to write instead."""
    expression = text.partition("#")[0].strip()
    if expression.startswith(("TZ=", "CRON_TZ=")):
        zone, _space, expression = expression.partition(" ")
        _check_zone(zone.partition("=")[2])
    fields = expression.split()
    if len(fields) == 1 and fields[0] in _SHORTHANDS:
        return
    if fields[:1] == ["@every"]:
        raise ValueError(_("is an interval; write `interval = SECONDS` instead of `cron`"))
    if len(fields) not in _BY_COUNT:
        raise _wrong(
            _("has {count} fields, not 5 (minute, hour, day of the month, month, day of the week)", count=len(fields))
        )
    for field, (name, low, high, names, first, shortest) in zip(fields, _BY_COUNT[len(fields)], strict=True):
        numbers = {n[:size]: first + at for at, n in enumerate(names.split()) for size in range(shortest, len(n) + 1)}
        for part in field.split(","):
            if not _is_range(part, low, high, numbers):
                raise _wrong(
                    _("has '{value}' for the {field} ({low} to {high})", value=part, field=name, low=low, high=high)
                )


def _wrong(problem: str) -> ValueError:
    return ValueError(_('{problem}; give one such as "0 3 * * *" (at 3:00 UTC every day)', problem=problem))


def _is_range(part: str, low: int, high: int, names: dict[str, int]) -> bool:
    """Whether it is `*`, a value, or a range `2-5`; each also with a step: `*/10`."""
    values, slash, step = part.partition("/")
    if slash and not (_is_number(step) and int(step)):
        return False
    if values == "*":
        return True
    previous = low
    for word in values.split("-", 1):
        number = int(word) if _is_number(word) else names.get(word.lower(), -1)
        if not previous <= number <= high:
            return False
        previous = number
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _check_zone(name: str) -> None:
    import zoneinfo  # only a cron expression with a time zone needs it

    try:
        zoneinfo.ZoneInfo("Etc/UTC")
    except zoneinfo.ZoneInfoNotFoundError:
        return  # this machine has no list of time zones (Windows); the server has one
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(_("has the time zone '{name}', which does not exist", name=name)) from None
