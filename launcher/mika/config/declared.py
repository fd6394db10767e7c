"""`[temporal]` and `[schedule.NAME]`: what a stack needs on its Temporal server before its workers start."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mika.config.cron import check_cron
from mika.config.process_options import toml_type, unknown_key
from mika.config.settings import LONGEST_S, printable
from mika.errors import UsageError
from mika.frozen import frozen
from mika.text import did_you_mean
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mika.config.sources import TomlTable

TABLES = ("temporal", "schedule")
ATTRIBUTE_TYPES = ("Keyword", "Text", "Int", "Double", "Bool", "Datetime", "KeywordList")
_TEMPORAL_KEYS = ("namespaces", "search_attributes", "nexus_endpoints")
_ENDPOINT_KEYS = ("namespace", "task_queue")
_SCHEDULE_KEYS = ("workflow", "task_queue", "cron", "interval", "args", "namespace")
_ENDPOINT_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]")
_DEEPEST = 20  # levels of a value in `args`

Argument = str | int | float | bool | list["Argument"] | dict[str, "Argument"]
"""An argument of a scheduled workflow, as JSON can hold it."""


@frozen(kw_only=True)
class Thing:
    """One thing on the server. An empty `namespace` is TEMPORAL_NAMESPACE; `where` is `file:line`."""

    namespace: str
    name: str
    where: str


@frozen(kw_only=True)
class Namespace(Thing):
    """`name` and `namespace` are the same."""


@frozen(kw_only=True)
class SearchAttribute(Thing):
    type: str


@frozen(kw_only=True)
class NexusEndpoint(Thing):
    """Calls to it are handled in that namespace by the workers of that queue."""

    task_queue: str


@frozen(kw_only=True)
class Schedule(Thing):
    """Starts `workflow(*args)` at the times of `cron`, or every `interval` seconds (0: by `cron`)."""

    workflow: str
    task_queue: str
    cron: str = ""
    interval: int = 0
    args: tuple[Argument, ...] = ()


_T = TypeVar("_T", bound=Thing)


@frozen
class Declared:
    """Everything that is declared, in the order in which it is made."""

    namespaces: tuple[Namespace, ...] = ()
    search_attributes: tuple[SearchAttribute, ...] = ()
    nexus_endpoints: tuple[NexusEndpoint, ...] = ()
    schedules: tuple[Schedule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.namespaces or self.search_attributes or self.nexus_endpoints or self.schedules)

    def within(self, namespace: str) -> Declared:
        """The same, with `namespace` where none is given."""

        def given(items: Iterable[_T]) -> tuple[_T, ...]:
            return tuple(replace(item, namespace=item.namespace or namespace) for item in items)

        return Declared(
            given(self.namespaces), given(self.search_attributes), given(self.nexus_endpoints), given(self.schedules)
        )


def read_declared(tables: Sequence[TomlTable], namespace: str) -> Declared:
    """What `tables` declare together; the last one wins for each key. Raises UsageError.

    `namespace` is TEMPORAL_NAMESPACE.
    """
    namespaces: tuple[Namespace, ...] = ()
    attributes: dict[tuple[str, str], SearchAttribute] = {}
    endpoints: dict[str, NexusEndpoint] = {}
    schedules: dict[str, dict[str, Any]] = {}
    for table in tables:
        values = _table(table, "temporal", keys=_TEMPORAL_KEYS)
        if "namespaces" in values:
            namespaces = _namespaces(table, values["namespaces"])
        attributes |= {(item.namespace, item.name): item for item in _attributes(table)}
        endpoints |= {item.name: item for item in _endpoints(table)}
        for name in _table(table, "schedule"):
            given = _schedule_keys(table, name)
            known = schedules.setdefault(name, {})
            for other, one in (("cron", "interval"), ("interval", "cron")):
                if one in given and other not in given:  # it takes the place of what another file says
                    known.pop(other, None)
            known |= given
    found = [_schedule(name, given) for name, given in schedules.items()]
    declared = Declared(namespaces, tuple(attributes.values()), tuple(endpoints.values()), tuple(found))
    _check_namespaces(declared, namespace)
    return declared


def _check_namespaces(declared: Declared, namespace: str) -> None:
    """A name that appears nowhere else is more often a misspelled one than one that somebody else creates."""
    known = ["", namespace, *(item.name for item in declared.namespaces)]
    items: tuple[Thing, ...] = (*declared.search_attributes, *declared.nexus_endpoints, *declared.schedules)
    for item in items:
        if item.namespace not in known:
            raise UsageError(
                _(
                    "{where}: {name} is for the namespace '{namespace}', which is not"
                    " TEMPORAL_NAMESPACE ({default}){suggestion}; add it to `namespaces` in [temporal]",
                    where=item.where,
                    name=item.name,
                    namespace=printable(item.namespace),
                    default=namespace,
                    suggestion=did_you_mean(item.namespace, known[1:]),
                )
            )


# --- one kind after the other -----------------------------------------------------------------------------------------


def _namespaces(table: TomlTable, value: object) -> tuple[Namespace, ...]:
    where = table.where("temporal", "namespaces")
    if not isinstance(value, list):
        raise UsageError(_("{where}: 'namespaces' must be a list of names, such as [\"orders\"]", where=where))
    names = dict.fromkeys(_text(where, "namespaces", item) for item in value)
    return tuple(Namespace(namespace=name, name=name, where=where) for name in names)


def _attributes(table: TomlTable) -> Iterable[SearchAttribute]:
    """`NAME = "TYPE"` for TEMPORAL_NAMESPACE, and a table of them for each other namespace."""
    for name, value in _table(table, "temporal", "search_attributes").items():
        if isinstance(value, dict):
            for inner, kind in value.items():
                yield _attribute(table, ("temporal", "search_attributes", name, inner), name, kind)
        else:
            yield _attribute(table, ("temporal", "search_attributes", name), "", value)


def _attribute(table: TomlTable, path: tuple[str, ...], namespace: str, kind: object) -> SearchAttribute:
    where, name = table.where(*path), path[-1]
    if kind not in ATTRIBUTE_TYPES:
        raise UsageError(_no_type(where, printable(name), kind))
    if not name.isprintable() or not name or "`" in name or " " in name:
        raise UsageError(
            _(
                "{where}: '{name}' is not the name of a search attribute; give one like CustomerId",
                where=where,
                name=printable(name),
            )
        )
    return SearchAttribute(namespace=namespace, name=name, where=where, type=str(kind))


def _no_type(where: str, name: str, given: object) -> Text:
    types = listed(ATTRIBUTE_TYPES)
    if not isinstance(given, str):
        return _(
            "{where}: the search attribute '{name}' has the type {type}; give one of {types}",
            where=where,
            name=name,
            type=toml_type(given),
            types=types,
        )
    return _(
        "{where}: the search attribute '{name}' has the type '{value}'{suggestion}; give one of {types}",
        where=where,
        name=name,
        value=printable(given),
        suggestion=did_you_mean(given, ATTRIBUTE_TYPES),
        types=types,
    )


def _endpoints(table: TomlTable) -> Iterable[NexusEndpoint]:
    path = ("temporal", "nexus_endpoints")
    for name in _table(table, *path):
        where = table.where(*path, name)
        if not _ENDPOINT_NAME.fullmatch(name):
            raise UsageError(
                _(
                    "{where}: '{name}' is not the name of a Nexus endpoint;"
                    " give letters, digits and -, such as billing",
                    where=where,
                    name=printable(name),
                )
            )
        values = _table(table, *path, name, keys=_ENDPOINT_KEYS)
        if "task_queue" not in values:
            raise UsageError(
                _("{where}: the Nexus endpoint {name} has no task queue; add `task_queue`", where=where, name=name)
            )
        texts = {key: _text(table.where(*path, name, key), key, value) for key, value in values.items()}
        yield NexusEndpoint(**{"namespace": "", **texts}, name=name, where=where)


def _schedule_keys(table: TomlTable, name: str) -> dict[str, Any]:
    """What `[schedule.NAME]` in one file says, after a check."""
    given: dict[str, Any] = {"where": table.where("schedule", name)}
    for key, value in _table(table, "schedule", name, keys=_SCHEDULE_KEYS).items():
        given[key] = _PARSERS.get(key, _text)(table.where("schedule", name, key), key, value)
    return given


def _schedule(name: str, given: Mapping[str, Any]) -> Schedule:
    where = given["where"]
    if "workflow" not in given:
        raise UsageError(
            _("{where}: the schedule {name} has no type of workflow; add `workflow`", where=where, name=name)
        )
    if "task_queue" not in given:
        raise UsageError(_("{where}: the schedule {name} has no task queue; add `task_queue`", where=where, name=name))
    if ("cron" in given) == ("interval" in given):
        raise UsageError(
            _(
                "{where}: the schedule {name} has both `cron` and `interval`; remove one",
                where=where,
                name=name,
            )
            if "cron" in given
            else _("{where}: the schedule {name} has no time; add `cron` or `interval`", where=where, name=name)
        )
    return Schedule(**{"namespace": "", **given}, name=name)


# --- one value --------------------------------------------------------------------------------------------------------


def _table(table: TomlTable, *path: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The table at `path`, empty if it is not there. With `keys`, it may have no others."""
    values: Any = table.values
    for depth, part in enumerate(path, start=1):
        values = values.get(part, {})
        if not isinstance(values, dict):
            name = ".".join(path[:depth]) if path[0] != "schedule" or depth == 1 else "schedule.NAME"
            raise UsageError(
                _(
                    "{where}: '{name}' must be a table; write [{table}]",
                    where=table.where(*path[:depth]),
                    name=printable(part),
                    table=name,
                )
            )
    for key in values:
        if keys and key not in keys:
            raise unknown_key(table.where(*path, key), key, ".".join(path), keys)
    return dict(values)


def _text(where: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(
            _(
                "{where}: '{key}' must be a string, not {type}; put it in quotes",
                where=where,
                key=key,
                type=toml_type(value),
            )
        )
    if not value.strip() or not value.isprintable():
        raise UsageError(
            _("{where}: '{key}' is empty or has a control character; give a name on one line", where=where, key=key)
        )
    return value


def _cron(where: str, key: str, value: object) -> str:
    text = _text(where, key, value)
    try:
        check_cron(text)
    except ValueError as error:
        raise UsageError(
            _(
                "{where}: '{key}' is '{value}', which {problem}",
                where=where,
                key=key,
                value=printable(text),
                problem=error,
            )
        ) from None
    return text


def _interval(where: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_S:
        raise UsageError(
            _(
                "{where}: '{key}' is {value}; give a whole number of seconds, from 1 to {longest:.0f}",
                where=where,
                key=key,
                value=printable(str(value)),
                longest=LONGEST_S,
            )
            if isinstance(value, int | float)
            else _(
                "{where}: '{key}' is {type}; give a whole number of seconds, from 1 to {longest:.0f}",
                where=where,
                key=key,
                type=toml_type(value),
                longest=LONGEST_S,
            )
        )
    return value


def _args(where: str, key: str, value: object) -> tuple[Argument, ...]:
    if not isinstance(value, list):
        raise UsageError(
            _(
                "{where}: '{key}' must be a list of the workflow's arguments, not {type}",
                where=where,
                key=key,
                type=toml_type(value),
            )
        )
    return tuple(_json(where, key, item) for item in value)


def _json(where: str, key: str, value: object, depth: int = 0) -> Argument:
    """The value as the workflow gets it. Raises UsageError for what JSON does not know."""
    match value:
        case bool() | str() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case list() if depth < _DEEPEST:
            return [_json(where, key, item, depth + 1) for item in value]
        case dict() if depth < _DEEPEST:
            return {str(name): _json(where, key, item, depth + 1) for name, item in value.items()}
    what = toml_type(value) if not isinstance(value, float) else str(value)
    raise UsageError(
        _(
            "{where}: '{key}' contains {what}, which JSON cannot hold; write it as a string",
            where=where,
            key=key,
            what=what,
        )
    )


_PARSERS: dict[str, Callable[[str, str, object], object]] = {"cron": _cron, "interval": _interval, "args": _args}
