"""Read text that a user wrote. Errors name the file and the line, and suggest a name for a misspelled one."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

from mika.errors import UsageError
from mika.wording import _, listed

if TYPE_CHECKING:
    from collections.abc import Iterable


UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(data: bytes) -> str:
    """What any program wrote: UTF-8, or UTF-16 with its mark, which the `>` of Windows PowerShell writes."""
    return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig", "replace")


def read_text(path: Path, label: str) -> str:
    """The text of `path` (UTF-8, with or without a byte order mark). Raises UsageError with `label` and the line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            _(
                "{file}: cannot be read: {error}; check that it is a file and that you may read it",
                file=label,
                error=error.strerror or error,
            )
        ) from error
    if data.startswith(UTF16):  # other programs that read this file would not take it either
        raise UsageError(
            _("{file}:1: is UTF-16, which the `>` of Windows PowerShell writes; save it as UTF-8", file=label)
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            _(
                "{file}:{line}: byte 0x{byte:02x} is not valid UTF-8; save the file as UTF-8",
                file=label,
                line=line,
                byte=data[error.start],
            )
        ) from error


_P = TypeVar("_P", bound=PurePath)


def resolved(folder: Path) -> Path:
    """Its only name: without links and `..`. Raises OSError."""
    return with_drive(Path(os.path.abspath(folder)), folder.resolve())  # noqa: PTH100 - without links it is `resolve`


def with_drive(absolute: _P, real: _P) -> _P:
    r"""`real`, but for a network drive of Windows: `N:\shop` would be `\\server\share\shop`.

    cmd.exe cannot work in such a folder, and runs each batch file (`npm.cmd`) in that of Windows instead.
    """
    is_mapped = real.drive.startswith("\\\\") and len(absolute.drive) == len("N:")
    return absolute if is_mapped else real


def existing_folder(project: Path) -> Path:
    """`project` with all symbolic links resolved. Raises UsageError when it is not a folder."""
    try:
        if not project.is_dir():
            raise UsageError(
                _("-C: {folder} is not a folder; give the folder that contains the Procfile", folder=project)
                if project.exists()
                else _("-C: {folder} does not exist; give the folder that contains the Procfile", folder=project)
            )
        return resolved(project)
    except OSError as error:
        raise UsageError(
            _(
                "-C: {folder} cannot be opened: {error}; check the path and its permissions",
                folder=project,
                error=error.strerror,
            )
        ) from error


_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])")


def plain(text: str) -> str:
    """Without terminal escapes (ECMA-48): colours, cursor movements, titles, character sets."""
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def nearest(name: str, choices: Iterable[str], similarity: float = 0.6) -> str | None:
    """The choice that is most similar to `name`, ignoring case; None if none has at least `similarity` (0 to 1)."""
    from difflib import get_close_matches

    folded = {choice.casefold(): choice for choice in choices}
    matches = get_close_matches(name.casefold(), folded, n=1, cutoff=similarity)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`; did you mean 'worker'?`, or an empty string if no choice is similar."""
    names = list(choices)
    begun = [each for each in names if each.casefold().startswith(name.casefold())]
    match = begun[0] if name and len(begun) == 1 else nearest(name, names)
    return _("; did you mean '{name}'?", name=match) if match else ""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the most similar name and the list of all names."""
    names = list(choices)
    return UsageError(
        _(
            "no {kind} is named '{name}'{suggestion} (there are: {names})",
            kind=kind,
            name=name,
            suggestion=did_you_mean(name, names),
            names=listed(names) or _("none"),
        )
    )


_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}  # s
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)([wdhms]))+")
_MOST = 100 * 366 * 86_400  # s


def duration(text: str) -> float:
    """The seconds of `30d`, `1h30m` or `45s`. Raises UsageError for anything else, zero, and more than a century."""
    plain_text = text.strip().lower().replace(" ", "")
    if _DURATION.fullmatch(plain_text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([wdhms])", plain_text))
        if 0 < seconds <= _MOST:
            return seconds
    raise UsageError(
        _("{text!r} is not a duration", text=text), _("give it as `30d`, `1h30m` or `45s` (w, d, h, m, s)")
    )


def duration_text(seconds: float) -> str:
    """Its two largest units that are not zero: `30d`, `1h30m`, `45s`."""
    parts, rest = [], max(0, round(seconds))
    for unit, length in _UNITS.items():
        if unit != "w" and rest >= length:
            parts.append(f"{rest // length}{unit}")
            rest %= length
    return "".join(parts[:2]) or "0s"
