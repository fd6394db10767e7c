"""What a `package.json` says, as far as it matters here; what is not as it should be is taken as absent."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mika.decoded import Json


def scripts(text: str) -> Mapping[str, str]:
    """Its scripts, by name."""
    return {name: command for name, command in _table(text, "scripts").items() if isinstance(command, str)}


def dependencies(text: str) -> set[str]:
    """The names of its packages, those for development, too."""
    return {*_table(text, "dependencies"), *_table(text, "devDependencies")}


def _table(text: str, name: str) -> Mapping[str, Json]:
    try:
        package = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    table = package.get(name) if isinstance(package, dict) else None
    return table if isinstance(table, dict) else {}
