"""The settings that are lists of names: which services of the compose file are started (`services`, `exclude`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.config.process_options import toml_type
from mika.errors import UsageError

if TYPE_CHECKING:
    from mika.config.sources import TomlTable

NAME_LISTS = ("services", "exclude")


@dataclass(frozen=True)
class Names:
    """One such list. `origin` is `file:line`."""

    names: tuple[str, ...]
    origin: str


def read_names(source: TomlTable) -> dict[str, Names]:
    """The lists that a file gives, by key. Raises UsageError."""
    return {key: _names(source, key) for key in NAME_LISTS if key in source.values}


def _names(source: TomlTable, key: str) -> Names:
    value, where = source.values[key], source.where(key)
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        given = f"is {toml_type(value)}" if not isinstance(value, list) else "has something that is not a name"
        raise UsageError(f'{where}: {key} {given}; give a list of service names, such as ["mongo", "redis"]')
    return Names(tuple(value), where)
