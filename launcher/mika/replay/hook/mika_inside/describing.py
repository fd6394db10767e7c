"""What the workflows of a worker take: types, parameters with their JSON Schema, signals, queries and updates.

Only builtin types, dataclasses, enums and typed dictionaries have a schema of ours; what pydantic knows better, it
says, where the program has it. The schema `{}` takes everything: its values are not checked.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from .report import say
from .workers import active_config, activity_names

_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
    dict: "object",
    list: "array",
}
_ARRAYS = (list, tuple, set, frozenset)
_UNRESOLVED = (NameError, TypeError, AttributeError, RuntimeError)
"""A name that only type checkers import; a type that pydantic refuses, for one of many reasons."""
_DEPTH = 8
"""Levels of types in types; deeper ones (or types that contain themselves) are not checked."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument that is passed by position. `hint` is Any where the function does not say."""

    name: str
    hint: Any
    required: bool
    default: str
    repeated: bool
    """It is `*name`: any number of arguments."""


def describe(worker: Any) -> None:
    """Report the workflows and activities of one worker."""
    config = active_config(worker)
    say(
        "described",
        number=worker._mika_number,
        queue=config["task_queue"],
        workflows=[_described(definition) for definition in definitions(worker)],
        activities=activity_names(worker),
    )


def definitions(worker: Any) -> list[Any]:
    """The SDK's definitions of a worker's workflows. A dynamic one has no name."""
    import temporalio.workflow

    define = temporalio.workflow._Definition.must_from_class
    return [define(cls) for cls in active_config(worker).get("workflows") or ()]


def handlers(definition: Any, kind: str) -> dict[str, Callable[..., Any]]:
    """The functions of its `signals`, `queries` or `updates`, by their names; `*` is a dynamic one."""
    return {name or "*": handler.fn for name, handler in getattr(definition, kind, {}).items()}


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Those of a workflow's method, without `self`; of `Annotated[int, …]` only `int`, as the SDK does."""
    try:
        hints = typing.get_type_hints(function)
    except _UNRESOLVED:
        hints = {}
    found = []
    for each in list(inspect.signature(function).parameters.values())[1:]:
        is_required = each.default is inspect.Parameter.empty and each.kind is not inspect.Parameter.VAR_POSITIONAL
        found.append(
            Parameter(
                each.name,
                hints.get(each.name, Any),
                is_required,
                "" if each.default is inspect.Parameter.empty else repr(each.default),
                each.kind is inspect.Parameter.VAR_POSITIONAL,
            )
        )
    return found


def schema_of(hint: Any) -> dict[str, Any]:
    """What pydantic says of a type, where the program has it, else what is known here."""
    adapter = type_adapter(hint)
    if adapter is not None:
        try:
            return dict(adapter.json_schema())
        except _UNRESOLVED:  # a type that JSON does not have
            return own_schema(hint)
    return own_schema(hint)


def type_adapter(hint: Any) -> Any:
    """The adapter of pydantic; None where the program has no pydantic 2, or that does not know the type."""
    if hint is Any:
        return None
    try:
        import pydantic

        return pydantic.TypeAdapter(hint)
    except (ImportError, *_UNRESOLVED):
        return None


def own_schema(hint: Any, depth: int = _DEPTH) -> dict[str, Any]:
    """The JSON Schema as far as the standard library can tell; `{}` for the rest."""
    hint = getattr(hint, "__supertype__", hint)  # a NewType
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if depth == 0:
        return {}
    if origin is typing.Annotated or "Required" in str(origin):
        return own_schema(arguments[0], depth)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [own_schema(argument, depth - 1) for argument in arguments]}
    if origin in _ARRAYS:
        is_plain = len({*arguments} - {Ellipsis}) == 1
        return {"type": "array", **({"items": own_schema(arguments[0], depth - 1)} if is_plain else {})}
    if origin is dict:
        return {"type": "object", "additionalProperties": own_schema(arguments[1], depth - 1)}
    return _of_class(hint, depth) if inspect.isclass(hint) or hint is None else {}


def _of_class(hint: Any, depth: int) -> dict[str, Any]:
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint in _ARRAYS:
        return {"type": "array"}
    if issubclass(hint, enum.Enum):
        values = [member.value for member in hint]
        return {"enum": values} if all(isinstance(value, str | int) for value in values) else {}
    is_model = hasattr(hint, "__pydantic_validator__") or hasattr(hint, "__get_pydantic_core_schema__")
    if not is_model and (dataclasses.is_dataclass(hint) or _is_typed_dict(hint)):
        return {"type": "object", "title": hint.__name__, "additionalProperties": False, **_fields(hint, depth)}
    return {}


def _is_typed_dict(hint: Any) -> bool:
    return hasattr(hint, "__required_keys__")  # that of typing_extensions is none to `typing.is_typeddict`


def _fields(hint: Any, depth: int) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(hint, include_extras=True)
    except _UNRESOLVED:
        hints = {}
    if _is_typed_dict(hint):
        # Where annotations are postponed, `__required_keys__` has those that are NotRequired, too.
        names, required = list(hint.__annotations__), [name for name in hints if name in hint.__required_keys__]
        required = [name for name in required if "NotRequired" not in str(typing.get_origin(hints[name]))]
    else:
        fields = [field for field in dataclasses.fields(hint) if field.init]
        names, missing = [field.name for field in fields], dataclasses.MISSING
        required = [field.name for field in fields if field.default is missing and field.default_factory is missing]
    return {
        "properties": {name: own_schema(hints.get(name, Any), depth - 1) for name in names},
        "required": required,
    }


def _described(definition: Any) -> dict[str, Any]:
    kinds = ("signals", "queries", "updates")
    return {
        "name": definition.name or "*",
        "doc": (inspect.getdoc(definition.cls) or "").partition("\n")[0],
        "parameters": list(_shown(definition.run_fn)),
        **{
            kind: {name: list(_shown(function)) for name, function in handlers(definition, kind).items()}
            for kind in kinds
        },
    }


def _shown(function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    for each in parameters(function):
        yield {
            "name": each.name,
            "type": _type_text(each.hint),
            "required": each.required,
            "default": each.default,
            "schema": schema_of(each.hint),
        }


def _type_text(hint: Any) -> str:
    if hint is Any:
        return ""
    return hint.__name__ if inspect.isclass(hint) and not typing.get_args(hint) else str(hint).replace("typing.", "")
