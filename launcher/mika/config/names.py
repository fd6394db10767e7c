"""The settings that are lists of names: which services of the compose file are started (`services`, `exclude`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mika.config.process_options import toml_type
from mika.errors import UsageError
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from mika.config.sources import TomlTable

NAME_LISTS = ("services", "exclude")


@frozen
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
        raise UsageError(
            _(
                "{where}: {key} has something that is not a name;"
                ' give a list of service names, such as ["mongo", "redis"]',
                where=where,
                key=key,
            )
            if isinstance(value, list)
            else _(
                '{where}: {key} is {type}; give a list of service names, such as ["mongo", "redis"]',
                where=where,
                key=key,
                type=toml_type(value),
            )
        )
    return Names(tuple(value), where)
