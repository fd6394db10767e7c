"""What a `package.json` says, as far as it matters here; what is not as it should be is taken as absent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mika.decoded import Json

_BUILT = re.compile(r"(\./)?(dist|lib|build|out)/")


def scripts(text: str) -> Mapping[str, str]:
    """Its scripts, by name."""
    return {name: command for name, command in table(mapping(text), "scripts").items() if isinstance(command, str)}


def dependencies(text: str) -> set[str]:
    """The names of its packages, those for development, too."""
    package = mapping(text)
    return {*table(package, "dependencies"), *table(package, "devDependencies")}


def name(text: str) -> str:
    """What other packages import it as; empty if it has no name."""
    named = mapping(text).get("name")
    return named if isinstance(named, str) else ""


def has_workspaces(text: str) -> bool:
    """Whether it is that of a whole workspace, which has the packages of all its parts."""
    return "workspaces" in mapping(text)


def is_as_written(text: str) -> bool:
    """Whether others import its sources, and not what a build makes of them."""
    return not built(text)


def built(text: str) -> list[str]:
    """The files of a build that others import."""
    package, found = mapping(text), list[str]()
    waiting = [package.get(key) for key in ("main", "module", "exports")]
    for entry in waiting:  # it grows
        if isinstance(entry, dict):
            waiting += [value for key, value in entry.items() if key != "types"]
        elif isinstance(entry, str) and _BUILT.match(entry):
            found.append(entry)
    return found


def manager(text: str) -> str:
    """The name of the package manager that Corepack is to use; empty if it does not say."""
    named = mapping(text).get("packageManager")
    return named.partition("@")[0] if isinstance(named, str) else ""


def mapping(text: str) -> Mapping[str, Json]:
    """What a JSON file has on its top."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def table(of: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}
