"""The port of a program in Go or for Node, where its source leaves no doubt about it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping

from mika.detect.languages import without_comments
from mika.detect.sources import Value
from mika.frozen import frozen

_NUMBER = re.compile(r"""["'`]?(\d{2,5})["'`]?(?=\s*(?:[,;)}]|as\b|$))""")
_FROM_ENV = re.compile(r"""(?:[\w+.(\s]*\()?\+?process\.env(?:\.|\[["'])([A-Z_]\w*)["'\])]*\s*(?:\?\?|\|\|)\s*(.+)""")
"""A variable or a default, perhaps as the argument of `Number` or `parseInt`."""
_NODE = re.compile(
    r"(?:\.listen|\bserve)\(\s*\{[^{}]*?\bport\b\s*(?::\s*([^,}\n]+)|(?=[,}]))"
    r"|\.listen\(\s*([^(),]+(?:\([^()]*\))?[^(),]*)"
)
"""`serve` is Hono's."""
_CALLED = r"(?:[^,()\n]|\((?:[^()\n]|\([^()\n]{0,100}\)){0,200}\))"
_GO = (
    re.compile(rf"\bhttp\.ListenAndServe\(\s*({_CALLED}{{1,300}}),"),
    re.compile(rf"\bhttp\.Server\{{[^{{}}]*?\bAddr:\s*({_CALLED}{{1,300}}?)[,}}\n]"),
    re.compile(rf"\.(?:Run|Start|Listen)\(\s*({_CALLED}{{0,300}})\)"),
)
_JOINED = re.compile(
    r'"[\w.]*:"\s*\+\s*([^\n+]+)|fmt\.Sprintf\(\s*"[\w.]*:%[dsv]"\s*,\s*((?:[^,()\n]|\([^()\n]{0,100}\)){1,200})\)'
)
_DEFAULT = r'\bif\s+NAME\s*==\s*""\s*\{\s*NAME\s*=\s*"(\d{2,5})"'
_NO_ADDRESS = re.compile(r"os\.Args|\w+\.InterruptCh\(\)|ctx")
_WHOLE = re.compile(r"[\w.]*:(\d{2,5})")
_ADDRESS = re.compile(r'"[\w.]*:(\d{2,5})"')
_GIN = re.compile(r"\b(\w+)\s{0,9}:?=\s{0,9}gin\.(?:Default|New)\(")


@frozen
class Port:
    """`variable` is the one of the environment that the program takes it from."""

    number: int
    variable: str = ""


def in_node(text: str, variables: Mapping[str, str], written: Callable[[str], str]) -> Port | None:
    """Of the only `.listen(…)` in a file; `written` tells what a name, or a member of an object, stands for."""
    plain = without_comments(text)
    calls = [(given or positional or "port").strip() for given, positional in _NODE.findall(plain)]
    if len(set(calls)) != 1:
        return None
    expression = calls[0]
    if re.fullmatch(r"[A-Za-z_$][\w$.]*", expression) and (elsewhere := written(expression)):
        expression = elsewhere
    elif re.fullmatch(r"\w+", expression) and not expression.isdecimal():
        assigned = re.findall(
            rf"\b(?:const|let|var)\s+{expression}\b(?:\s{{0,9}}:[\w| ]{{1,60}})?\s{{0,9}}=([^;\n]+)", plain
        )
        again = re.findall(rf"(?<![\w.]){expression}\s*=(?!=)", plain)
        if len(assigned) != 1 or len(again) > 1:
            return None
        expression = assigned[0].strip()
    if taken := _FROM_ENV.match(expression):
        value = variables.get(taken[1]) or taken[2]
        return _port(_NUMBER.match(value.strip()), taken[1])
    return _port(_NUMBER.match(expression))


def in_go(sources: Iterable[tuple[str, str]], value: Callable[[str, str], Value]) -> Port | None:
    """Of the only call that serves in these files, each a path with its text; `value` tells what an expression is worth
    in the file of a path.
    """
    found: set[Port | None] = set()
    for path, text in sources:
        plain = without_comments(text)
        given = [expression for pattern in _GO for expression in pattern.findall(plain) if expression.strip()]
        given = [expression for expression in given if not _NO_ADDRESS.fullmatch(expression.strip())]
        found |= {_address(expression.strip(), plain, functools.partial(value, path)) for expression in given}
        if any(re.search(rf"\b{name}\.Run\(\s*\)", plain) for name in _GIN.findall(plain)):
            found.add(Port(8080, "PORT"))  # what Gin does without an address
    return found.pop() if len(found) == 1 else None


def _address(expression: str, text: str, value: Callable[[str], Value]) -> Port | None:
    """The port of an address: of a literal, of a name that has one value in the file, or of a setting."""
    if re.fullmatch(r"\w+", expression):
        assigned = _assigned(expression, text)
        expression = assigned[0] if len(assigned) == 1 else ""
    if literal := _port(_ADDRESS.fullmatch(expression)):
        return literal
    if joined := _JOINED.fullmatch(expression):
        return _joined(joined[1] or joined[2], text, value)
    worth = value(expression).text if expression else None
    return _port(_WHOLE.fullmatch(worth)) if worth else None


def _joined(expression: str, text: str, value: Callable[[str], Value]) -> Port | None:
    """The port that is put behind a colon."""
    assigned = _assigned(expression, text) if re.fullmatch(r"[a-z]\w*", expression) else [expression]
    default = re.search(_DEFAULT.replace("NAME", re.escape(expression)), text)
    if len(assigned) != (2 if default else 1):
        return None
    worth = value(assigned[0])
    number = worth.text or (default[1] if default else "")
    return _port(re.fullmatch(r"(\d{2,5})", number), worth.variable)


def _assigned(name: str, text: str) -> list[str]:
    found = re.findall(rf"(?<![\w.]){name}\b(?:\s{{1,9}}string)?\s{{0,9}}:?=(?!=)([^;\n]+)", text)
    return [one.strip() for one in found]


def _port(match: re.Match[str] | None, variable: str = "") -> Port | None:
    return Port(int(match[1]), variable) if match and 0 < int(match[1]) < 65536 else None
