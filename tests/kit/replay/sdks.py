"""Other versions of Temporal's Python SDK: real old ones, and changed copies of the one that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path

import temporalio

from tests.kit.environments import python_with

OLDEST = "1.18"
"""Of those that mika supports."""
_WITHOUT_PRIVATE_NAMES = ("api", "proto", "contrib", "sdk-core", "src", "__pycache__")


def python_with_sdk(version: str) -> str:
    """The interpreter of an environment with the SDK `version`; skips the test if it cannot be made."""
    return python_with("temporalio", version, "sdk")


def changed_sdk(folder: Path, renames: Mapping[str, str], moved: Mapping[str, str] | None = None) -> Path:
    """A folder for PYTHONPATH with the installed SDK in which names are others (old → new), and files elsewhere.

    It works as before, for a program that uses only the public names.
    """
    _copy(Path(temporalio.__file__).parent, folder / "temporalio", renames)
    for old, new in (moved or {}).items():
        (folder / "temporalio" / old).rename(folder / "temporalio" / new)
    return folder


def _copy(source: Path, target: Path, renames: Mapping[str, str]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        copy = target / entry.name
        if entry.is_dir() and entry.name not in _WITHOUT_PRIVATE_NAMES:
            _copy(entry, copy, renames)
        elif entry.suffix == ".py" and (text := entry.read_text(encoding="utf-8")) != (
            changed := _renamed(text, renames)
        ):
            copy.write_text(changed, encoding="utf-8")
        elif entry.name != "__pycache__":
            copy.symlink_to(entry)
            _link_compiled(entry, copy)


def _renamed(text: str, renames: Mapping[str, str]) -> str:
    for old, new in renames.items():
        text = text.replace(old, new)
    return text


def _link_compiled(source: Path, copy: Path) -> None:
    """What is unchanged need not be compiled again."""
    compiled = Path(cache_from_source(str(source)))
    if source.suffix == ".py" and compiled.exists():
        link = Path(cache_from_source(str(copy)))
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(compiled)
