"""Texts that a person reads: English, and all that is needed to say the same in another language.

A text is written once, in English, and may then travel through a status, an event and a file to another terminal, whose
user reads Chinese. So it is translated where it is shown (`mika.cli.language`), never where it is made. Until then it
is a plain English `str`: JSON, logs and programs see nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

Value = str | int | float
"""What a text may hold; another text is translated with it."""

_TEXTS = "texts"


class Text(str):
    """An English text that knows its `template` (the key in the catalogues) and the `values` in it.

    Without a template it is somebody else's words, and stays as it is. `+` keeps it translatable; an f-string does not.
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Value]

    def __new__(cls, english: str, template: str = "", values: Mapping[str, Value] | None = None) -> Self:
        text = super().__new__(cls, english)
        text.template, text.values = template, values or {}
        return text

    def __add__(self, other: str) -> Text:
        return joined("", (self, other))

    def __radd__(self, other: str) -> Text:
        return joined("", (other, self))

    def __reduce__(self) -> tuple[type[Text], tuple[str, str, Mapping[str, Value]]]:
        return Text, (str(self), self.template, self.values)

    def translated(self, translate: Callable[[str], str]) -> str:
        """`translate` maps a template to that of the other language, or to itself."""
        if not self.template:
            return str(self)
        template = translate(self.template)
        if not self.values:
            return template
        return template.format_map({name: _translated(value, translate) for name, value in self.values.items()})


def _(template: str, /, **values: object) -> Text:
    """A text to be shown to a person. `template` must be a literal: the catalogues are made from the source.

    With values it is filled as by `str.format`. What is neither text nor number is its `str()`.
    """
    if not values:
        return Text(template, template)
    kept = {name: _kept(value) for name, value in values.items()}
    return Text(template.format_map(kept), template, kept)


def _kept(value: object) -> Value:
    match value:
        case str() | int() | float():
            return value
        case BaseException(args=[Text() as text]):  # its `str()` would be English for ever
            return text
    return str(value)


def joined(separator: str, texts: Iterable[str]) -> Text:
    """As `separator.join(texts)`, each part still translatable, and the separator too if it is a text."""
    parts = tuple(texts)
    if isinstance(separator, Text):
        parts, separator = tuple(part for text in parts for part in (separator, text))[1:], ""
    values: dict[str, Value] = {f"part{index}": part for index, part in enumerate(parts)}
    escaped = separator.replace("{", "{{").replace("}", "}}")
    return Text(separator.join(parts), escaped.join(f"{{{name}}}" for name in values), values)


def listed(names: Iterable[str]) -> Text:
    """As `", ".join(names)`, with the comma of the other language."""
    return joined(_(", "), names)


def packed(value: dict[str, object]) -> dict[str, object]:
    """`value`, for JSON that another mika reads: with what `unpacked` needs to make its texts again."""
    texts = [[place, *_parts(text)] for place, text in _texts_in(value, ())]
    return {**value, _TEXTS: texts} if texts else value


def unpacked(value: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """What `packed` got, decoded from JSON. Raises LookupError, TypeError or ValueError for what it did not write."""
    for (*place, last), template, values in value.pop(_TEXTS, ()):
        holder = value
        for key in place:
            holder = holder[key]
        holder[last] = Text(holder[last], template, _values(values))
    return value


def received(value: dict[str, Any]) -> dict[str, Any]:
    """JSON of another program, which may have got it from `packed`: with its texts, as far as they are what it says."""
    with suppress(LookupError, TypeError, ValueError, AttributeError, RecursionError):
        for (*place, last), template, values in value.get(_TEXTS, ()):
            holder = value
            for key in place:
                holder = holder[key]
            text = Text(holder[last], template, _values(values))
            if _is_true(text):
                holder[last] = text
    return value


def _is_true(text: Text) -> bool:
    """Whether the template says the same in English, but for capitals, and has nothing in it that costs memory."""
    import re

    if not text.values or not text.template:
        return text.template in ("", text)
    rest = re.sub(r"\{\{|\}\}|\{\w+(:[.,\d]{0,3}[a-z]?)?\}", "", text.template)
    return (
        "{" not in rest
        and "}" not in rest
        and all(_is_true(value) for value in text.values.values() if isinstance(value, Text))
        and text.template.format_map(text.values).casefold() == text.casefold()
    )


def _translated(value: Value, translate: Callable[[str], str]) -> Value:
    return value.translated(translate) if isinstance(value, Text) else value


def _parts(text: Text) -> tuple[str, dict[str, object]]:
    """(its template, its values): for JSON, a text among the values is a list of its own two."""
    return text.template, {
        name: [value, *_parts(value)] if isinstance(value, Text) else value for name, value in text.values.items()
    }


def _values(values: Mapping[str, Any]) -> dict[str, Value]:
    return {
        name: Text(value[0], value[1], _values(value[2])) if isinstance(value, list) else value
        for name, value in values.items()
    }


def _texts_in(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Text]]:
    """Each text in a value of JSON, and where it is."""
    match value:
        case Text() if value.template:
            yield place, value
        case dict():
            for key, part in value.items():
                yield from _texts_in(part, (*place, key))
        case list() | tuple():
            for index, part in enumerate(value):
                yield from _texts_in(part, (*place, index))
