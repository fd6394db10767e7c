"""The port of a program in Go or for Node, where its source leaves no doubt about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mika.detect.languages import without_comments
from mika.frozen import frozen

_NUMBER = re.compile(r"""["'`]?(\d{2,5})["'`]?(?=\s*(?:[,;)}]|as\b|$))""")
_FROM_ENV = re.compile(r"""(?:[\w+.(\s]*\()?\+?process\.env(?:\.|\[["'])([A-Z_]\w*)["'\])]*\s*(?:\?\?|\|\|)\s*(.+)""")
"""A variable or a default, perhaps as the argument of `Number` or `parseInt`."""
_NODE = re.compile(r"\.listen\(\s*(?:\{[^{}]*?\bport\b\s*(?::\s*([^,}\n]+)|(?=[,}]))|([^(),]+(?:\([^()]*\))?[^(),]*))")
_GO = (
    re.compile(r"\bhttp\.ListenAndServe\(\s*([^,()\n]+),"),
    re.compile(r"\bhttp\.Server\{[^{}]*?\bAddr:\s*([^,}\n]+)"),
    re.compile(r"\.(?:Run|Start|Listen)\(\s*([^,()\n]*)\)"),
)
_ADDRESS = re.compile(r'"[\w.]*:(\d{2,5})"')
_GIN = re.compile(r"\b(\w+)\s{0,9}:?=\s{0,9}gin\.(?:Default|New)\(")


@frozen
class Port:
    """`variable` is the one of the environment that the program takes it from."""

    number: int
    variable: str = ""


def in_node(text: str, variables: Mapping[str, str]) -> Port | None:
    """Of the only `.listen(…)` in a file."""
    plain = without_comments(text)
    calls = [(given or positional or "port").strip() for given, positional in _NODE.findall(plain)]
    if len(set(calls)) != 1:
        return None
    expression = calls[0]
    if re.fullmatch(r"\w+", expression) and not expression.isdecimal():
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


def in_go(texts: Iterable[str]) -> Port | None:
    """Of the only call in these files that serves."""
    found: set[Port | None] = set()
    for text in texts:
        plain = without_comments(text)
        given = [expression for pattern in _GO for expression in pattern.findall(plain) if expression.strip()]
        found |= {_address(expression.strip(), plain) for expression in given}
        if any(re.search(rf"\b{name}\.Run\(\s*\)", plain) for name in _GIN.findall(plain)):
            found.add(Port(8080, "PORT"))  # what Gin does without an address
    return found.pop() if len(found) == 1 else None


def _address(expression: str, text: str) -> Port | None:
    """The port of an address: of a literal, or of a name that has one value in the file."""
    if re.fullmatch(r"\w+", expression):
        assigned = re.findall(rf"(?<![\w.]){expression}\b(?:\s{{1,9}}string)?\s{{0,9}}:?=(?!=)([^;\n]+)", text)
        expression = assigned[0].strip() if len(assigned) == 1 else ""
    return _port(_ADDRESS.fullmatch(expression))


def _port(match: re.Match[str] | None, variable: str = "") -> Port | None:
    return Port(int(match[1]), variable) if match and 0 < int(match[1]) < 65536 else None
