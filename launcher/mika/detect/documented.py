"""The commands that a project documents: README, Makefile, scripts, package.json, Dockerfile, compose."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator

from mika.detect.files import Files
from mika.frozen import frozen

_MOST_TEXTS = 200
_LARGEST = 200_000  # bytes
_TEXTS = (
    r"README.*|.+\.(md|rst|sh|ps1|bat|cmd|dockerfile)|(Makefile|justfile|Procfile|(Docker|Container)file).*"
    r"|package\.json|(docker-)?compose.*"
)
OURS = "# Found by `mika init`"
"""With what the files begin that mika has written: its own guesses are nothing that the project says."""
_CONTAINER = re.compile(r"(^|/)((Docker|Container)file|(docker-)?compose)[^/]*$|\.dockerfile$", re.IGNORECASE)
_REST = r"\s[^\n`&|;#<>]{0,500}"
_COMMAND = re.compile(rf"\b(?:python3?|uvicorn|gunicorn|hypercorn|fastapi|flask|quart|alembic|uv run){_REST}")
_OTHERS = re.compile(rf"(?:\bgo run|\bnpx|\bnode|\bdotnet run|\bmvn|\bgradle|\./(?:mvnw|gradlew)){_REST}")
"""Those of other languages. What is the same in all of them is done by the project's scripts."""
_CONTINUED = {".bat": "^", ".cmd": "^", ".ps1": "`"}
"""The scripts of Windows, with what ends a line there that goes on in the next one."""
_LAUNCHER = re.compile(r"(?<![\w.])py(?:\.exe)?(?: -[\d.]+)?(?= )|\bpython\.exe\b", re.IGNORECASE)
_CLOSED = re.compile(r"""(?:[^"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')*""")
_IN_JSON = re.compile(r'(?:[^"\\]|\\.)*')
_PIP = re.compile(r"\bpip3? install((?: [A-Za-z][\w.\[\],-]*(?:[=<>~!]=?[\w.*]+)?)+)[ \t]*(?:$|[`#])", re.MULTILINE)
_EXTENSIONS = re.compile(r"\.(py|go|[cm]?[jt]s)$")
_RUNNERS = {"poetry", "uv", "pipenv", "pdm", "run", "python", "python3", "exec", "-m"}


@frozen
class Said:
    """One command, and the file that has it. `words` without `poetry run`, `python -m` and the like."""

    words: tuple[str, ...]
    where: str

    @property
    def is_in_container(self) -> bool:
        """Its port and its addresses are those of a container."""
        return _CONTAINER.search(self.where) is not None

    @property
    def port(self) -> int | None:
        text = " ".join(self.words)
        found = re.search(r"(?:--port[ =]|-p |(?:--bind[ =]|-b |runserver )(?:[\w.]*:)?)(\d{2,5})\b(?!\.)", text)
        return int(found[1]) if found and int(found[1]) < 65536 else None

    def means(self, path: str, app: str = "") -> bool:
        """Whether it starts the file `path`: by `a/b.py`, `a.b` or `a.b:app`, from any folder above it."""
        stem = "/" + _EXTENSIONS.sub("", path)
        stems = (stem, re.sub(r"/(__main__|main)$", "", stem)) if path.endswith((".go", "/__main__.py")) else (stem,)
        for number, word in enumerate(self.words):
            name, separator, variable = word.partition(":")
            if variable.removesuffix("()") not in ("", app) or (number and not separator and not set(name) & set("./")):
                continue  # such as the "worker" of `celery -A tasks worker`
            ending = _EXTENSIONS.search(name)
            if ending and not path.endswith(ending[0]):
                continue
            is_path = "/" in name or ending
            spelled = _EXTENSIONS.sub("", name.removeprefix("./")) if is_path else name.replace(".", "/")
            if spelled and any(one.endswith(f"/{spelled}") for one in stems):
                return True
        return False


def documented(files: Files) -> list[Said]:
    """Every command that is found, the texts nearest to the top first."""
    texts = [path for _, path in zip(range(_MOST_TEXTS), files.named(_TEXTS), strict=False)]
    found = (
        Said(words, path)
        for path in texts
        if not (text := files.text(path, _LARGEST)).startswith(OURS)
        for words in _commands(text, path)
    )
    return list(dict.fromkeys(found))


def packages(files: Files) -> str:
    """What a README has pip install, by name; empty without that."""
    found = (
        match[1].split() for path in files.named(r"README.*") for match in _PIP.finditer(files.text(path, _LARGEST))
    )
    return " ".join(next((words for words in found if not any(word.endswith(".txt") for word in words)), ()))


def words_of(command: str) -> Iterator[tuple[str, ...]]:
    """Those of the commands in one that compose has."""
    return _commands(command, "compose.yml")


def _commands(text: str, path: str) -> Iterator[tuple[str, ...]]:
    if _CONTAINER.search(path):  # CMD ["uvicorn", "app.main:app"] as a line of words
        text = re.sub(r'"\s*,\s*"', " ", text).replace('["', " ").replace('"]', " ")
    if _ending(path) in _CONTINUED:
        text = _LAUNCHER.sub("python", text)
    joined = text.replace(_CONTINUED.get(_ending(path), "\\") + "\n", " ")
    for command in (*_COMMAND.findall(joined), *_OTHERS.findall(joined)):
        words = _split(command, path)
        while words and words[0] in _RUNNERS:
            words = words[1:]
        if words:
            yield tuple(words)


def _split(command: str, path: str) -> list[str]:
    """Its words. A quote that nothing closes ends it: such a one belongs to the text that the command is in."""
    if path.endswith(".json"):
        command = _begin(_IN_JSON, command).replace('\\"', '"')
    if _ending(path) in _CONTINUED:
        command = command.replace("\\", "/")
    return shlex.split(_begin(_CLOSED, command))


def _ending(path: str) -> str:
    return posixpath.splitext(path)[1].lower()


def _begin(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text)
    return match[0] if match else ""
