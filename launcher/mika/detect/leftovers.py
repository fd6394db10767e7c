"""What mika leaves to the user: frontends, keys that nobody has set, files that are not what their names say."""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping

from mika.config.sources import toml_error
from mika.detect import package_json
from mika.detect.environments import node_tooling
from mika.detect.files import Files
from mika.wording import Text, _, listed

_FRONTENDS = {
    "vite": "Vite",
    "next": "Next.js",
    "nuxt": "Nuxt",
    "astro": "Astro",
    "react-scripts": "React",
    "@sveltejs/kit": "SvelteKit",
    "@angular/core": "Angular",
    "@vue/cli-service": "Vue",
    "@remix-run/dev": "Remix",
    "gatsby": "Gatsby",
    "parcel": "Parcel",
    "webpack-dev-server": "webpack",
}
_SERVERS = {"express": "Express", "fastify": "Fastify", "@nestjs/core": "NestJS", "koa": "Koa", "hono": "Hono"}
_SCRIPTS = ("dev", "start", "serve", "server", "api", "web")
_SEVERAL = re.compile(r"\b(concurrently|npm-run-all|run-[ps]|turbo|lerna)\b")
"""A script with one of these runs others at once, perhaps also the workers."""
_FOLDER = {"npm": "--prefix", "pnpm": "--dir", "yarn": "--cwd"}
_EXAMPLES = r"\.?env[._-](example|sample|template|dist)"
_LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(.*)$", re.MULTILINE)
_SECRET = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|DSN)(_|$)", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"""["']?(|<.*>|\.\.\.|x{3,}.*|.*\b(your|change|replace|todo)[-_ ]?.*)["']?""", re.IGNORECASE)
_BLOCK = re.compile(r"^[ \t]*```(?:\.env|dotenv|env)[ \t]*$(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL | re.IGNORECASE)
"""What a README shows as an `.env`."""
_LONGEST = 200  # characters
_MOST_NAMES = 6
_MOST_MANIFESTS = 100


def frontends(files: Files, taken: set[str]) -> Iterator[str]:
    """A line on each web app that is not in Python, with what to add to the Procfile; in `taken` are its names."""
    for path in files.named(r"package\.json"):
        text = files.text(path)
        scripts, packages = package_json.scripts(text), package_json.dependencies(text)
        kind = next((title for name, title in (_FRONTENDS | _SERVERS).items() if name in packages), None)
        usual = [script for script in _SCRIPTS if script in scripts]
        if kind is None or not usual:
            continue
        script = next((script for script in usual if not _SEVERAL.search(scripts[script])), usual[0])
        folder = posixpath.dirname(path)
        tool = node_tooling(files, folder).tool
        plain = "web" if kind in _SERVERS.values() else "frontend"
        name = re.sub(r"[^a-z0-9_]+", "-", posixpath.basename(folder).lower()).strip("-") or plain
        place = f" {_FOLDER[tool]} {shlex.quote(folder)}" if folder else ""
        name = f"{name}-js" if name in taken else name
        yield _(
            "{path} is a web app of {kind}: left out; to run it, add `{line}` to the Procfile",
            path=path,
            kind=kind,
            line=f"{name}: {tool}{place} run {script}",
        )


def unset_keys(files: Files, variables: Mapping[str, str]) -> Iterator[str]:
    """A line for each example of an `.env` with keys that are set nowhere. Only their names are shown."""
    for path in files.named(rf"{_EXAMPLES}|README\.md"):
        beside = posixpath.join(posixpath.dirname(path), ".env")
        given = {name for name, _value in _LINE.findall(files.text(beside))} | variables.keys()
        text = files.text(path)
        shown = "\n".join(_BLOCK.findall(text)) if path.lower().endswith(".md") else text
        wanted = [
            name
            for name, value in _LINE.findall(shown)
            if name not in given and (_SECRET.search(name) or _PLACEHOLDER.fullmatch(value.strip()[:_LONGEST]))
        ]
        if wanted:
            yield _unset(path, wanted, beside)


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
