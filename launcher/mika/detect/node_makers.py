"""Who calls a function in TypeScript that makes a worker for a queue that it is given: the program is there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mika.detect import node_values
from mika.detect.languages import NODE, Maker, Texts, without_comments
from mika.detect.sources import Value
from mika.frozen import frozen

_DEEPEST = 3
_MOST = 30
"""Calls in a file."""
_FURTHEST = 5000
"""Characters from the begin of a function to the call that makes its worker."""
_FUNCTION = re.compile(
    r"\bfunction\s+([\w$]{1,100})\s*\(|\b(?:const|let|var)\s+([\w$]{1,100})\b[^=;\n]{0,200}=\s*"
    r"(?:async\s*)?(?:function\s*)?\("
)
_MAKES = re.compile(r"\bWorker\.create\(")
_BRACE = re.compile(r"[{}]")
_ARROW = re.compile(r"=>\s*(?:await\s+)?\(?\s*$")
_PARAMETER = re.compile(r"\s*(\{|[\w$]{1,100})")
_DEFAULT = re.compile(r"(?<![=!<>])=(?![=>])\s*([^=]{1,200})$")


@frozen
class _Given:
    """What a function is given: the number of the argument, which member of it, and what it is without that."""

    function: str
    number: int
    member: str = ""
    default: str = ""


def of(texts: Texts, maker: Maker) -> Iterator[Maker]:
    """The file itself; in place of a function that is given the queue, the files that call it."""
    own: list[tuple[str, Value]] = []
    calling: dict[str, list[tuple[str, Value]]] = {}
    for expression, value in dict.fromkeys(maker.given):
        found = set(_decided(texts, maker.path, _MAKES, expression or "taskQueue", 0))
        for path, theirs in sorted(found):
            home = texts.nearest(NODE, path) or ""
            calling.setdefault(path, []).append((theirs, texts.value(theirs, path, texts.of(NODE, home))))
        own += [] if found else [(expression, value)]
    for path, given in calling.items():
        nearest = texts.nearest(NODE, path)
        if path == maker.path or nearest is None:
            own += given
        else:
            other = Maker(NODE, path, nearest, texts.manifest(NODE, nearest), (), given=tuple(given))
            yield _with_queues(texts, other)
    if own:
        yield _with_queues(texts, replace(maker, given=tuple(own)))


def _with_queues(texts: Texts, maker: Maker) -> Maker:
    return replace(maker, queues=node_values.queues(texts, maker))


def _decided(texts: Texts, path: str, call: re.Pattern[str], expression: str, depth: int) -> Iterator[tuple[str, str]]:
    """The files, and the expressions there, that decide what a call in the file `path` is given as `expression`."""
    text = without_comments(texts.text(path))
    places = itertools.islice(call.finditer(text), _MOST)
    for given in dict.fromkeys(_given(text, found.start(), expression) for found in places):
        if given is None or depth > _DEEPEST or texts.files.is_late():
            continue
        for other, called in _calling(texts, path, given.function):
            use = re.compile(rf"(?<![\w$.])(?<!function ){re.escape(called)}\(")
            source = without_comments(texts.text(other))
            for found in itertools.islice(use.finditer(source), _MOST):
                theirs = _argument(node_values.parts(source, found.end() - 1), given)
                further = list(_decided(texts, other, use, theirs, depth + 1)) if theirs else []
                yield from further or ([(other, theirs)] if theirs else [])


def _given(text: str, position: int, expression: str) -> _Given | None:
    """The parameter of the function around a position that an expression there is, or is a member of."""
    name, _dot, member = re.sub(r"[?!\s]", "", expression).partition(".")
    for function in reversed(list(_FUNCTION.finditer(text, max(0, position - _FURTHEST), position))):
        opened = function.end() - 1
        parameters = node_values.parts(text, opened)
        rest = text[opened + sum(len(one) + 1 for one in parameters) : position]
        braces = _BRACE.findall(rest)
        if braces.count("{") <= braces.count("}") and not _ARROW.search(rest):
            continue
        for number, one in enumerate(_whole(parameters)):
            begins = _PARAMETER.match(one)
            if begins is None:
                continue
            if begins[1] == "{" and not member and (inner := _inner(one)).get(name):
                return _Given(function[1] or function[2], number, name, "" if inner[name] == name else inner[name])
            if begins[1] == name:
                default = _DEFAULT.search(one) if not member else None
                return _Given(function[1] or function[2], number, member, default[1].strip() if default else "")
        return None
    return None


def _whole(parameters: list[str]) -> list[str]:
    """Those that a comma inside of a type, as in `Record<string, string>`, has parted."""
    found: list[str] = []
    for one in parameters:
        last = found[-1].replace("=>", "") if found else ""
        if last.count("<") > last.count(">"):
            found[-1] += f",{one}"
        else:
            found.append(one)
    return found


def _inner(parameter: str) -> Mapping[str, str]:
    """The members that `{ a, b = 1 }: Options` takes."""
    return node_values.entries(parameter.lstrip())


def _argument(arguments: list[str], given: _Given) -> str:
    """The expression that a call gives; empty if that is not clear."""
    one = arguments[given.number].strip() if given.number < len(arguments) else ""
    if one.startswith("...") or not one:
        return given.default
    if not given.member:
        return one
    if one.startswith("{"):
        return node_values.entries(one).get(given.member, given.default)
    return f"{one}.{given.member}" if re.fullmatch(r"[\w$.]{1,100}", one) else ""


def _calling(texts: Texts, path: str, function: str) -> Iterator[tuple[str, str]]:
    """The files that may call a function of the file `path`, and how they call it."""
    yield path, function
    for other in texts.of(NODE, ""):
        if other == path or texts.files.is_late() or function not in texts.text(other):
            continue
        for name in {function, *re.findall(rf"\b{re.escape(function)}\s+as\s+([\w$]+)", texts.text(other))}:
            if node_values.origin(texts, other, name) == path:
                yield other, name
