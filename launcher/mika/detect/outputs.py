"""Which files in JavaScript a compiler has made of a source in TypeScript that is here, too."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mika.detect.files import Files

_USUAL = {"lib", "out", "dist", "build"}
_OUT_DIR = re.compile(r'"outDir"\s{0,9}:\s{0,9}"([^"\n]{1,200})"')
_MADE = re.compile(r"\.[cm]?js$")
_SOURCE = re.compile(r"(?<!\.d)\.[cm]?ts$")


def built(files: Files, paths: Sequence[str]) -> set[str]:
    """Those of the paths whose source is among them: in the folder for it, beside that folder's `src`, or in place."""
    sources = {_SOURCE.sub("", path) for path in paths if _SOURCE.search(path)}
    made = [path for path in paths if _MADE.search(path)]
    if not sources or not made:
        return set()
    below = {folder: _endings(home, sources) for folder, home in _out_dirs(files)}
    return {path for path in made if _is_built(_MADE.sub("", path), sources, below)}


def _is_built(stem: str, sources: set[str], below: Mapping[str, set[str]]) -> bool:
    """`below` has for each `outDir` what may be in it: nothing says here which folder the `rootDir` is."""
    if stem in sources:
        return True
    parts = stem.split("/")
    for index, part in enumerate(parts[:-1]):
        before, rest = "/".join(parts[:index]), "/".join(parts[index + 1 :])
        if part in _USUAL and not sources.isdisjoint(posixpath.join(before, src, rest) for src in ("", "src")):
            return True
        if rest in below.get(posixpath.join(before, part), ()):
            return True
    return False


def _endings(home: str, sources: Iterable[str]) -> set[str]:
    """How the sources of a part are named from each of its folders."""
    prefix = posixpath.join(home, "")
    inside = (source.removeprefix(prefix).split("/") for source in sources if source.startswith(prefix))
    return {"/".join(parts[index:]) for parts in inside for index in range(len(parts))}


def _out_dirs(files: Files) -> Iterator[tuple[str, str]]:
    """The `outDir` of each part and the folder of the part, but for one that has all of it."""
    for path in files.named(r"package\.json"):
        home = posixpath.dirname(path)
        if given := _OUT_DIR.search(files.text(posixpath.join(home, "tsconfig.json"))):
            folder = posixpath.normpath(posixpath.join(home, given[1]))
            if folder != (home or ".") and not folder.startswith("."):
                yield folder, home
