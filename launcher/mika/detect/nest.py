"""What the Nest CLI starts: which source file is meant by `nest start`, and by `nest start NAME` in a monorepo."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from mika.decoded import Json
from mika.detect import package_json
from mika.detect.files import Files

ENTRY = "src/main"
"""What it starts where nothing else is said."""
_START = re.compile(r"\bnest start\b([^&|;]{0,300})")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,100}")
_ENTRY_FILE = re.compile(r"--entryFile[ =]([\w./-]{1,200})")


def started(files: Files, home: str, command: str, known: Mapping[str, str]) -> str | None:
    """The source that a script of the part `home` starts with the Nest CLI; `known` are its files by their names."""
    call = _START.search(command)
    if call is None:
        return None
    settings = package_json.mapping(files.text(posixpath.join(home, "nest-cli.json")))
    projects, words = package_json.table(settings, "projects"), call[1].split()
    name = next((word for word in words if word in projects), "")
    if words and words[0][0] != "-" and words[0] != name:
        return None
    given = _ENTRY_FILE.search(call[1])
    return known.get(_entry({**settings, **package_json.table(projects, name)}, given[1] if given else ""))


def applications(files: Files, home: str, known: Mapping[str, str]) -> Mapping[str, str]:
    """The applications of a monorepo by their name: the source of each that is here."""
    settings = package_json.mapping(files.text(posixpath.join(home, "nest-cli.json")))
    projects = package_json.table(settings, "projects")
    found: dict[str, str] = {}
    for name in projects:
        project = package_json.table(projects, name)
        entry = known.get(_entry({**settings, **project}))
        if entry is not None and project.get("type", "application") == "application" and _NAME.fullmatch(name):
            found[name] = entry
    return found


def command(files: Files, home: str, path: str, known: Mapping[str, str]) -> str:
    """What starts the application of a monorepo whose source is the file `path`; empty if it is none."""
    if "@nestjs/cli" not in package_json.dependencies(files.text(posixpath.join(home, "package.json"))):
        return ""  # npx would take another package for it
    name = next((name for name, entry in applications(files, home, known).items() if entry == path), "")
    return f"npx nest start {name}" if name else ""


def _entry(settings: Mapping[str, Json], given: str = "") -> str:
    """The name of the file that settings are for, without its suffix."""
    root, file = settings.get("sourceRoot"), given or settings.get("entryFile")
    return posixpath.normpath(
        posixpath.join(
            root if isinstance(root, str) else posixpath.dirname(ENTRY),
            file if isinstance(file, str) else posixpath.basename(ENTRY),
        )
    )
