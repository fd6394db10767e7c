"""What mika leaves to the user: keys that nobody has set, files that are not what their names say."""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence

from mika.config import cluster
from mika.config.load import PROVIDED
from mika.config.sources import toml_error
from mika.detect import package_json, siblings
from mika.detect.files import Files
from mika.detect.findings import Process
from mika.detect.sources import Sources
from mika.wording import Text, _, listed

_EXAMPLES = r"\.?env[._-](example|sample|template|dist)"
_LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(.*)$", re.MULTILINE)
_SECRET = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|DSN)(_|$)", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"""["']?(|<.*>|\.\.\.|x{3,}.*|.*\b(your|change|replace|todo)[-_ ]?.*)["']?""", re.IGNORECASE)
_BLOCK = re.compile(r"^[ \t]*```(?:\.env|dotenv|env)[ \t]*$(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL | re.IGNORECASE)
"""What a README shows as an `.env`."""
_READS_ENV = re.compile(rb"dotenv|\benviron\.(File)?(Aware)?Env\b|\bread_env\b|\benv_file\b|\bdecouple\b|\benvirons\b")
"""What a program in Python reads an `.env` with."""
_ENV_FILE = re.compile(r"\s--env-file[= ][\"']?([\w./-]{1,200})")
"""Node ends without such a file; `--env-file-if-exists` is another option."""
_MOST_SOURCES = 500
_LONGEST = 200  # characters
_MOST_NAMES = 6
_MOST_MANIFESTS = 100


def unset_keys(sources: Sources, programs: Iterable[str], variables: Collection[str]) -> Iterator[str]:
    """A line for each example of an `.env` with keys that are set nowhere, and that are no plain settings or that the
    `programs` need. Only their names are shown.
    """
    files, required = sources.files, _required(sources, programs)
    for path in files.named(rf"{_EXAMPLES}|README\.md"):
        beside = _read_by(files, posixpath.dirname(path))
        given = {name for name, _value in _LINE.findall(files.text(beside))} | set(variables)
        text = files.text(path)
        shown = "\n".join(_BLOCK.findall(text)) if path.lower().endswith(".md") else text
        wanted = [
            name
            for name, value in _LINE.findall(shown)
            if name not in given
            and (name in required or _SECRET.search(name) or _PLACEHOLDER.fullmatch(value.strip()[:_LONGEST]))
        ]
        if wanted:
            yield _unset(path, list(dict.fromkeys(wanted)), beside)


def _required(sources: Sources, programs: Iterable[str]) -> set[str]:
    """What the programs in Python read of the environment without a default, but for what mika tells them."""
    modules = filter(None, map(sources.module, sorted(path for path in programs if path.endswith(".py"))))
    read = (module.required for module in sources.reachable(*modules))
    return {name for names in read for name in names} - {*PROVIDED, cluster.ADDRESS, "PORT"}


def missing_files(files: Files, processes: Sequence[Process]) -> Iterator[Text]:
    """A line for what a process in Node needs, and is not there: a file of `--env-file`, the build of a package."""
    yield from siblings.unbuilt(files) if processes else ()
    for process in processes:
        words = process.command.split()
        manifest = posixpath.join(process.cwd, "package.json")
        scripts = package_json.scripts(files.text(manifest)) if manifest in files else {}
        command = scripts.get(words[2], "") if words[1:2] == ["run"] and len(words) > 2 else process.command
        for name in _ENV_FILE.findall(command):
            path = posixpath.normpath(posixpath.join(process.cwd, name))
            if not (files.root / path).exists():
                example = next(
                    (one for one in files.named(_EXAMPLES) if posixpath.dirname(one) == posixpath.dirname(path)), ""
                )
                yield _missing(process.command, path, example)


def _missing(command: str, path: str, example: str) -> Text:
    if not example:
        return _("`{command}` reads {path}, which is not there: make it", command=command, path=path)
    return _(
        "`{command}` reads {path}, which is not there: make it, as {example} shows",
        command=command,
        path=path,
        example=example,
    )


def example_of(files: Files, variable: str) -> tuple[str, str]:
    """The example of an `.env` that has a value for a variable, and this; empty if there is none."""
    for path in files.named(_EXAMPLES):
        for name, value in _LINE.findall(files.text(path)):
            if name == variable and not _PLACEHOLDER.fullmatch(
                text := value.partition(" #")[0].strip().strip("\"'")[:_LONGEST]
            ):
                return path, text
    return "", ""


def _read_by(files: Files, folder: str) -> str:
    """The `.env` that counts in a folder: mika reads that of the project, and other ones only the program itself."""
    beside = posixpath.join(folder, ".env")
    is_python = files.has_modules(folder) and posixpath.join(folder, "package.json") not in files
    if not folder or not is_python:
        return beside
    below = (path for path in files.python if path.startswith(f"{folder}/"))
    reads = any(_READS_ENV.search(files.read(path)) for path in itertools.islice(below, _MOST_SOURCES))
    return beside if reads else ".env"


def _unset(path: str, names: list[str], beside: str) -> Text:
    shown, more = listed(names[:_MOST_NAMES]), len(names) - _MOST_NAMES
    if len(names) == 1:
        return _("{path} has {name}, which is not set: add it to {file}", path=path, name=shown, file=beside)
    if more <= 0:
        return _("{path} has {names}, which are not set: add them to {file}", path=path, names=shown, file=beside)
    return _(
        "{path} has {names} and {more} more, which are not set: add them to {file}",
        path=path,
        names=shown,
        more=more,
        file=beside,
    )


def broken(files: Files) -> Iterator[str]:
    """A line for each manifest that is not what its name says, so that what is in it was not seen."""
    for path in itertools.islice(files.named(r"pyproject\.toml|package\.json"), _MOST_MANIFESTS):
        text = files.text(path)
        try:
            if path.endswith(".toml"):
                tomllib.loads(text)
            elif text.strip():
                json.loads(text)
        except json.JSONDecodeError as error:
            where = f"{path}:{error.lineno}:{error.colno}"
            yield _("{where}: not valid JSON: {problem}; correct that line", where=where, problem=error.msg)
        except tomllib.TOMLDecodeError as error:
            yield toml_error(path, text, str(error))
        except RecursionError:
            yield _("{file}: is nested too deeply; simplify it", file=path)
