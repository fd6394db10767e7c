"""What a project documents to run before its start: migrations of its database, and seeds."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from mika.detect.documented import Said
from mika.detect.files import Files
from mika.detect.sources import Sources, Start
from mika.frozen import frozen
from mika.wording import _

_MIGRATES = re.compile(r"(\w+_)?(migrate|migrations|init_db|create_tables)")
_FIRST = re.compile(r"(^|/)migrations/0001_\w+\.py$")
_SEEDS = re.compile(r"(\w+_)?(seed|seeds|seeder|load_fixtures)(_\w+)?")


@frozen
class Preparation:
    """A command that runs once, the file that it belongs to, and the text that documents it.

    A migration may be repeated. What a seed adds (`is_seed`) may be wrong a second time.
    """

    path: str
    start: Start
    where: str
    is_seed: bool = False


def find(files: Files, sources: Sources, said: Sequence[Said]) -> list[Preparation]:
    """Each once, and those that are not documented not at all."""
    found: dict[Start, Preparation] = {}
    for one in said:
        for preparation in _meant(files, sources, one):
            found.setdefault(preparation.start, preparation)
    return list(found.values())


def undocumented(files: Files, found: Sequence[Preparation]) -> Iterator[str]:
    """A line on each Django project with migrations that no text says to run."""
    for path in (path for path in files.python if posixpath.basename(path) == "manage.py"):
        home = posixpath.join(posixpath.dirname(path), "")
        first = next((own for own in files.python if own.startswith(home) and _FIRST.search(own)), None)
        if first is not None and not any(one.path == path for one in found):
            yield _(
                "{folder} has migrations, and nothing here says when to run them: `{command}` before the first start",
                folder=posixpath.dirname(first),
                command=f"python {path} migrate",
            )


def _meant(files: Files, sources: Sources, said: Said) -> Iterator[Preparation]:
    words = said.words
    if words[0].endswith("manage.py") and "migrate" in words[1:2]:
        # The prompts of `migrate` would have nobody to answer them.
        yield from _beside("manage.py", "python manage.py migrate --noinput", files.python, said)
    elif words[0] == "alembic" and {"upgrade", "head"} <= set(words):
        yield from _beside("alembic.ini", "alembic upgrade head", files.others, said)
    else:
        stem = re.split(r"[./]", words[0].removesuffix(".py"))[-1]
        is_seed = _SEEDS.fullmatch(stem) is not None
        for path in files.python if is_seed or _MIGRATES.fullmatch(stem) else ():
            module = sources.module(path) if said.means(path) else None
            start = sources.start_of(module) if module is not None else None
            if start is not None:
                yield Preparation(path, start, said.where, is_seed)


def _beside(name: str, command: str, paths: Sequence[str], said: Said) -> Iterator[Preparation]:
    """The command in the folder of the only file of that name; with several, in that of the text that has it."""
    found = [path for path in paths if posixpath.basename(path) == name]
    own = [path for path in found if posixpath.dirname(path) == posixpath.dirname(said.where)]
    for path in found if len(found) == 1 else own:
        yield Preparation(path, Start(posixpath.dirname(path), command), said.where)
