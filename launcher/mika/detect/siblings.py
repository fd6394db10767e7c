"""The parts of a project that import each other as installed packages, as those of a workspace do."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mika.detect import package_json
from mika.detect.environments import in_folder, node_tooling
from mika.detect.files import Files
from mika.wording import Text, _

_NAME = re.compile(r"""^\[(?:project|tool\.poetry)\][^\[]*?^name[ \t]*=[ \t]*["']([\w.-]+)""", re.MULTILINE)
_DECLARING = ("pyproject.toml", "requirements.txt", "requirements-dev.txt")

_SETTINGS = ("tsconfig.json", "tsconfig.base.json")


class Siblings:
    """Each part has a pyproject.toml; another one may import it if that declares it as a dependency."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = {
            posixpath.dirname(path): name[1]
            for path in files.named(r"pyproject\.toml")
            if posixpath.dirname(path) and (name := _NAME.search(files.text(path)))
        }
        self._declared: dict[tuple[str, str], bool] = {}
        self._bases: dict[str, set[tuple[str, str]]] = {}
        """By the first word of what is imported: the folders with it, each with the part it belongs to."""
        for path in files.python if self._names else ():
            part = files.home_of(path)
            relative = path.removeprefix(f"{part}/")
            base = posixpath.join(part, "src") if relative.startswith("src/") else part
            first = path.removeprefix(f"{base}/").partition("/")[0].removesuffix(".py")
            if part in self._names:
                self._bases.setdefault(first, set()).add((base, part))

    def base_of(self, name: str, importer: str) -> str | None:
        """The folder in which a file of another part finds the module `name`; None if it finds none."""
        found = self._bases.get(name.partition(".")[0])
        if not found:
            return None
        home = self._files.home_of(importer)
        declared = [base for base, part in sorted(found) if part != home and self._declares(home, self._names[part])]
        return declared[0] if len(declared) == 1 else None

    def _declares(self, home: str, name: str) -> bool:
        if (home, name) not in self._declared:
            texts = (self._files.text(posixpath.join(folder, each)) for folder in {home, ""} for each in _DECLARING)
            word = re.compile(rf"(?<![\w.-]){re.sub(r'[-_.]+', '[-_.]+', name)}(?![\w-])", re.IGNORECASE)
            self._declared[home, name] = any(word.search(text) for text in texts)
        return self._declared[home, name]


def in_node(files: Files, home: str, *, are_as_written: bool = True) -> list[str]:
    """The folders of the packages of a workspace that one of them, in `home`, imports: as they are, or also built."""
    folders: dict[str, str] = {}
    for path in files.named(r"package\.json"):
        if name := package_json.name(files.text(path)):
            folders.setdefault(name, posixpath.dirname(path))
    found = [home]
    for folder in found:  # it grows
        manifest = files.text(posixpath.join(folder, "package.json"))
        for name in sorted(package_json.dependencies(manifest) & folders.keys()):
            other = folders[name]
            is_written = package_json.is_as_written(files.text(posixpath.join(other, "package.json")))
            if other not in found and (is_written or not are_as_written):
                found.append(other)
    return found[1:]


def unbuilt(files: Files) -> Iterator[Text]:
    """A line on each package of a workspace that others there import, and whose build has not run yet."""
    manifests = {posixpath.dirname(path): files.text(path) for path in files.named(r"package\.json")}
    imported = {name for text in manifests.values() for name in package_json.dependencies(text)}
    settings = [posixpath.join(folder or ".", name) for folder in manifests for name in _SETTINGS]
    for folder, text in manifests.items():
        name, made = package_json.name(text), package_json.built(text)
        places = (files.root / folder / one.removeprefix("./").partition("/")[0] for one in made)
        if (
            not folder
            or name not in imported
            or "build" not in package_json.scripts(text)
            or not made
            or any(map(Path.exists, places))
        ):
            continue
        if any(f'"{name}"' in files.text(path) for path in settings):  # an alias of its sources, which needs no build
            continue
        home = "" if "build" in package_json.scripts(manifests.get("", "")) else folder
        command = in_folder(f"`{node_tooling(files, folder).tool} run build`", home)
        yield _("{folder} is not built yet, and others here import it: {command}", folder=folder, command=command)
