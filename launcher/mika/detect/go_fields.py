"""What a program in Go puts itself in a field of its settings, or returns from a function without arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mika.detect.languages import Texts, without_comments
from mika.detect.sources import Value

_DEEPEST = 3
_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,4}")
_CALL = re.compile(r"(?:\w+\.)?(\w+)\(\)")
_GIVEN = r"(?:\bNAME[ \t]*:|\.NAME[ \t]*=)(?!=)[ \t]*([^\n]{1,300})"
_OPENS = re.compile(r"(\w+)\s*(?::|:?=)\s*(?:&?[\w.]+)?$")
_OF_TEMPORAL = re.compile(r"temporal|:72\d\d\b", re.IGNORECASE)
"""What tells a field of its settings from the `Address` of something else, where a file gives the one of Temporal."""
_FURTHEST = 3000
"""Characters back from a field to the name of what it is in."""
_RETURNS = (
    r"^func NAME\(\) string \{\s*(?:if (\w+) := (os\.Getenv\([^()\n]{1,100}\)); \1 != \"\"|"
    r"(\w+) := (os\.Getenv\([^()\n]{1,100}\))\s*if \3 != \"\") \{\s*return (?:\1|\3)\s*\}\s*return ([^\n]{1,200})"
)


def value(expression: str, texts: Texts, paths: Iterable[str], depth: int = 0) -> Value:
    """What it is worth, if one variable of the environment decides that; `paths` are the sources of the program."""
    paths = list(paths)
    if called := _CALL.fullmatch(expression):
        values = set(_returned(called[1], texts, paths))
        return values.pop() if len(values) == 1 else Value()
    if _MEMBER.fullmatch(expression) is None or depth > _DEEPEST:
        return Value()
    *above, name = expression.split(".")
    given = dict(_given(name, expression, texts, paths, depth))
    inside = {place: worth for place, worth in given.items() if place[2] == above[-1]}
    for found in (given, inside):
        variables = {worth.variable for worth in found.values() if worth.variable}
        if len(variables) == 1:
            defaults = {worth.text for worth in found.values() if worth.text}
            told = Value(defaults.pop() if len(defaults) == 1 else None, variables.pop())
            return told if _OF_TEMPORAL.search(f"{name} {told.variable} {told.text}") else Value()
    return Value()


def _given(
    name: str, expression: str, texts: Texts, paths: list[str], depth: int
) -> Iterator[tuple[tuple[str, int, str], Value]]:
    """What is put in a field: by the file, the place, and the name of what it is in."""
    pattern = re.compile(_GIVEN.replace("NAME", re.escape(name)))
    for path in () if texts.files.is_late() else paths:
        text = without_comments(texts.text(path)) if name in texts.text(path) else ""
        for found in pattern.finditer(text):
            written = found[1].strip().rstrip(",}) ") if "(" not in found[1] else found[1].strip()
            if written == expression:
                continue
            worth = texts.value(written, path, ())
            if not worth.variable and (further := value(written.rstrip(","), texts, paths, depth + 1)).variable:
                worth = further
            yield (path, found.start(), _around(text, found.start())), worth


def _around(text: str, end: int) -> str:
    """`Temporal` for a field in `Temporal: TemporalConfig{…}`, and in `cfg.Temporal.Address = …`."""
    if text[end] == ".":
        return re.split(r"\W", text[max(0, end - 60) : end])[-1]
    depth = 0
    for index in range(end - 1, max(-1, end - _FURTHEST), -1):
        depth += {"}": 1, "{": -1}.get(text[index], 0)
        if depth < 0:
            opened = _OPENS.search(text[max(0, index - 100) : index])
            return opened[1] if opened else ""
    return ""


def _returned(name: str, texts: Texts, paths: list[str]) -> Iterator[Value]:
    pattern = re.compile(_RETURNS.replace("NAME", re.escape(name)), re.MULTILINE)
    for path in () if texts.files.is_late() else paths:
        for found in pattern.finditer(texts.text(path)) if f"{name}()" in texts.text(path) else ():
            asked = texts.value(found[2] or found[4], path, ())
            yield Value(asked.text or texts.value(found[5], path, [path]).text, asked.variable)
