"""English sentences that mika says in the language of its user: with their templates, the keys of its catalogues.

As `mika.wording`, which this program may not have.
"""

from __future__ import annotations


class Text(str):
    """`values` may have other texts."""

    __slots__ = ("template", "values")
    template: str
    values: dict[str, object]


def _(template: str, /, **values: object) -> Text:
    text = Text(template.format(**values) if values else template)
    text.template, text.values = template, values
    return text


def packed(fields: dict[str, object]) -> list[list[object]]:
    """What `unpacked` of `mika.wording` needs to make these texts again."""
    return [[[name], *_parts(text)] for name, text in fields.items() if isinstance(text, Text)]


def _parts(text: Text) -> tuple[str, dict[str, object]]:
    return text.template, {
        name: [value, *_parts(value)] if isinstance(value, Text) else value for name, value in text.values.items()
    }
