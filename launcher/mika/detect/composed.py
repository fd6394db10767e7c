"""How the compose file starts a program in a container that is built from the project, as it would be started here."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mika.detect.compose import ServiceText
from mika.detect.files import Files
from mika.detect.sources import Start
from mika.detect.workers import Worker
from mika.quoting import command_line

_WORKDIR = re.compile(r"^[ \t]*WORKDIR[ \t]+(/\S*)[ \t]*$", re.MULTILINE | re.IGNORECASE)


def as_composed(files: Files, services: Iterable[ServiceText], workers: Sequence[Worker]) -> list[Worker]:
    """The workers, started as there if that has a PYTHONPATH: without it, their imports are not found."""
    starts: dict[str, Start] = {}
    for service in services:
        if service.is_built and service.python_path and service.context is not None:
            starts |= _start_of(files, service, posixpath.normpath(service.context))
    return [replace(worker, start=starts.get(worker.path, worker.start)) for worker in workers]


def _start_of(files: Files, service: ServiceText, context: str) -> dict[str, Start]:
    """The file that it runs, and how; empty if it is not certain what is where in the container."""
    home = "" if context == "." else context
    found = _WORKDIR.findall(files.text(posixpath.join(home, "Dockerfile")))
    if not found or home.startswith(("..", "/")):
        return {}
    work = posixpath.normpath(found[-1])

    def here(path: str) -> str:
        """A path of the container, relative to the build context."""
        return posixpath.relpath(posixpath.join(work, path), work)

    try:
        words = shlex.split(service.command)
    except ValueError:
        return {}
    folders = [here(folder) for folder in service.python_path.split(":") if folder]
    is_known = all(files.has_modules(_joined(home, folder)) for folder in folders)
    if not is_known or words[:1] not in (["python"], ["python3"]) or len(words) < 2:
        return {}
    if words[1] == "-m" and len(words) > 2:
        stem, program = words[2].replace(".", "/"), words[1:3]
        paths = [f"{stem}.py", f"{stem}/__main__.py"]
    else:
        program = paths = [here(words[1])]
    path = next((full for path in paths if (full := _joined(home, path)) in files), "")
    env = (("PYTHONPATH", os.pathsep.join(folders)),)
    if not path or _has_own_environment(files, files.home_of(path), home):
        return {}
    return {path: Start(home, command_line(["python", *program]), env)}


def _has_own_environment(files: Files, part: str, home: str) -> bool:
    """Whether a part of the project has packages that would not be there in the folder `home`."""
    places = (files.root / part / name / "pyvenv.cfg" for name in (".venv", "venv", "env"))
    return part != home and any(place.is_file() for place in places)


def _joined(home: str, path: str) -> str:
    joined = posixpath.normpath(posixpath.join(home, path))
    return "" if joined == "." else joined
