"""Is this JSON what a workflow takes? Asked of pydantic, of type hints, and of the program's own converter."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .describing import Parameter, own_schema, parameters, type_adapter
from .words import Text, _

_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}


_KINDS = {
    "string": _("a string"),
    "integer": _("an integer"),
    "number": _("a number"),
    "boolean": _("a boolean"),
    "object": _("an object"),
    "array": _("an array"),
}


class RefusedError(Exception):
    """The input does not fit; the text names the field."""


@dataclass
class Problem:
    """Where a value is not what its schema says (`order.lines[2]`), and why."""

    path: str
    text: str


def arguments(function: Callable[..., Any], texts: Sequence[str], converter: Any) -> tuple[list[Any], list[str]]:
    """The arguments that the JSON `texts` are, as the program's own types, and the names of those not checked.

    `converter` is the payload converter of the program. Raises RefusedError.
    """
    wanted = parameters(function)
    if wanted and wanted[-1].repeated:
        wanted = [*wanted[:-1], *[wanted[-1]] * max(0, len(texts) - len(wanted) + 1)]
    least = sum(each.required for each in wanted)
    if not least <= len(texts) <= len(wanted):
        raise RefusedError(_wrong_number(least, [each.name for each in wanted], len(texts)))
    values, unchecked = [], []
    for parameter, text in zip(wanted, texts, strict=False):
        if parameter.hint is Any:
            unchecked.append(parameter.name)
        values.append(_argument(parameter, text, converter))
    return values, list(dict.fromkeys(unchecked))


def _wrong_number(least: int, names: list[str], given: int) -> Text:
    most, shown = len(names), ", ".join(names)
    if not most:
        return _("it takes no arguments, not {given}", given=given)
    if least < most == 1:
        return _("it takes 0 to 1 argument ({names}), not {given}", names=shown, given=given)
    if least < most:
        return _(
            "it takes {least} to {most} arguments ({names}), not {given}",
            least=least,
            most=most,
            names=shown,
            given=given,
        )
    if most == 1:
        return _("it takes 1 argument ({names}), not {given}", names=shown, given=given)
    return _("it takes {count} arguments ({names}), not {given}", count=most, names=shown, given=given)


def _argument(parameter: Parameter, text: str, converter: Any) -> Any:
    value = json.loads(text)
    if problem := misfit(own_schema(parameter.hint), value, parameter.name):
        raise RefusedError(problem.text)
    adapter = type_adapter(parameter.hint)
    if adapter is not None:
        import pydantic

        try:
            adapter.validate_json(text)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
            raise RefusedError(f"{parameter.name}{path}: {first['msg']}") from None
    return _as_type(parameter, text, value, converter)


def _as_type(parameter: Parameter, text: str, value: Any, converter: Any) -> Any:
    """As the worker is going to get it: what its converter makes of the JSON."""
    from temporalio.api.common.v1 import Payload

    payload = Payload(metadata={"encoding": b"json/plain"}, data=text.encode())
    if value is None:
        payload = Payload(metadata={"encoding": b"binary/null"})
    hints = None if parameter.hint is Any else [parameter.hint]
    try:
        return converter.from_payloads([payload], hints)[0]
    except KeyError:
        return value  # it has no JSON: its own encoding says whether it can take this
    except Exception as error:  # noqa: BLE001 - of the program's converter or its types
        raise RefusedError(f"{parameter.name}: {_chain(error)}") from None


def _chain(error: BaseException) -> str:
    texts = []
    while True:
        texts.append(str(error) or type(error).__name__)
        if error.__cause__ is None:
            return ": ".join(dict.fromkeys(texts))[:500]
        error = error.__cause__


def misfit(schema: dict[str, Any], value: Any, path: str) -> Problem | None:
    """Where a value is not what an `own_schema` says; None if it is. Of several forms, the one that fits longest."""
    if "anyOf" in schema:
        first = None
        for each in schema["anyOf"]:
            problem = misfit(each, value, path)
            if problem is None:
                return None
            if first is None or (first.path == path and problem.path != path):
                first = problem
        return first
    if "enum" in schema:
        known = ", ".join(json.dumps(each) for each in schema["enum"])
        if value in schema["enum"]:
            return None
        return Problem(path, _("{path}: {value} is none of {known}", path=path, value=json.dumps(value), known=known))
    kind = schema.get("type")
    if kind is None:
        return None
    is_kind = isinstance(value, _CLASSES[kind])
    if not is_kind or (isinstance(value, bool) and kind != "boolean"):
        shown = json.dumps(value)[:80]
        return Problem(path, _("{path}: {value} is not {kind}", path=path, value=shown, kind=_KINDS.get(kind, kind)))
    if kind == "array":
        items = (misfit(schema.get("items", {}), each, f"{path}[{number}]") for number, each in enumerate(value))
        return next(filter(None, items), None)
    return _misfit_of_fields(schema, value, path) if kind == "object" else None


def _misfit_of_fields(schema: dict[str, Any], value: dict[str, Any], path: str) -> Problem | None:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        inner = f"{path}.{name}"
        if name not in value:
            return Problem(inner, _("{path}: it is missing", path=inner))
    for name, each in value.items():
        inner = f"{path}.{name}"
        if name not in properties and others is False:
            known = ", ".join(properties)
            return Problem(inner, _("{path}: there is no such field (there are: {names})", path=inner, names=known))
        if problem := misfit(properties.get(name, others or {}), each, inner):
            return problem
    return None
