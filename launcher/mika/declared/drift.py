"""What is declared, against what the server has: make what is missing, and say what stays different."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Literal

from mika.config.declared import Declared, Namespace, NexusEndpoint, Schedule, SearchAttribute, Thing
from mika.declared.kinds import Item, Kind, Namespaces, NexusEndpoints, SearchAttributes
from mika.declared.record import Key, Made, Record
from mika.declared.schedules import Schedules
from mika.diagnosis import commands
from mika.diagnosis.temporal import CallError, Temporal, call_error
from mika.errors import describe
from mika.frozen import frozen
from mika.readiness.ladder import NotYet
from mika.reason import NONE, Reason
from mika.wording import _

State = Literal["same", "missing", "edited", "changed", "foreign"]
"""`edited`: the declaration, since mika made it. `changed`: by somebody else. `foreign`: not made by mika."""

SCHEDULES = Schedules()
_NAMESPACES, _ATTRIBUTES, _ENDPOINTS = Namespaces(), SearchAttributes(), NexusEndpoints()
_BY_NOUN = {kind.noun: kind for kind in (_NAMESPACES, _ATTRIBUTES, _ENDPOINTS, SCHEDULES)}
_AGAIN = _("`mika down` and `mika up`")
_HOPELESS = (3, 7, 12, 16)  # INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED
Finder = Callable[[Temporal, str], Awaitable[str | None]]


@frozen
class Server:
    """A connection, and how `temporal` is told where it leads. `is_ours`: mika makes there what is missing."""

    temporal: Temporal
    address: str
    is_ours: bool

    def command(self, arguments: str) -> str:
        return commands.temporal(arguments, self.address)


@frozen
class Group(Generic[Item]):
    """The declared things of one kind."""

    kind: Kind[Item]
    items: tuple[Item, ...]

    def key(self, item: Item) -> Key:
        return self.kind.noun, item.namespace, item.name

    def keys(self) -> set[Key]:
        return {self.key(item) for item in self.items}

    async def look(self, temporal: Temporal, item: Item, made: Made | None) -> tuple[State, str]:
        """How it is, and what the server has."""
        found, wanted = await find(self.kind.find, temporal, item.namespace, item.name), self.kind.wanted(item)
        if found is None:
            return "missing", ""
        if found == wanted:
            return "same", found
        if made is None:
            return "foreign", found
        if made.declared != wanted or not made.content:
            return "edited", found
        return "same" if self.kind.is_same(found, made.content) else "changed", found

    async def ensure(self, server: Server, record: Record, unproved: set[Key]) -> list[Reason]:
        """Make what is missing, change what was edited, and return the differences that stay.

        Adds to `unproved` what was made. Raises NotYet for what does not work yet, RefusedError for what never will.
        """
        reasons = []
        for item in self.items:
            with named(self.kind.noun, item.name):
                reason = await self._ensure(server, record, item, unproved)
            if reason:
                reasons.append(reason)
        return reasons

    async def _ensure(self, server: Server, record: Record, item: Item, unproved: set[Key]) -> Reason:
        kind, key, temporal = self.kind, self.key(item), server.temporal.in_namespace(item.namespace)
        made, wanted = record.get(key), kind.wanted(item)
        state, found = await self.look(server.temporal, item, made)
        is_edited = state == "edited" and kind.can_change
        if state == "missing" or is_edited:
            record.put(key, Made(wanted, ""))  # before it is made: mika may be killed right after that
            try:
                with refusals(kind.noun, item):
                    await (kind.change if is_edited else kind.make)(temporal, item)
            except Exception as error:
                if call_error(error) not in (CallError.TIMEOUT, CallError.UNREACHABLE):  # it has not been made
                    record.put(key, made)
                raise
            unproved.add(key)
            record.put(key, Made(wanted, await kind.find(temporal, item.name) or ""))
            state = "same"
        if record.get(key) is not None:
            await kind.resume(temporal, item.name)
        return NONE if state == "same" else self.reason(server, item, state, found)

    async def prove(self, temporal: Temporal, unproved: set[Key]) -> None:
        """Raise NotYet while one of `unproved` cannot be used; those that can are removed from it."""
        for namespace in {item.namespace: None for item in self.items}:
            items = [item for item in self.items if item.namespace == namespace and self.key(item) in unproved]
            if not items:
                continue
            with named(self.kind.noun, ", ".join(item.name for item in items)):
                await self.kind.prove(temporal.in_namespace(namespace), items)
            unproved -= {self.key(item) for item in items}

    async def differences(self, server: Server, record: Record) -> list[Reason]:
        reasons = []
        for item in self.items:
            state, found = await self.look(server.temporal, item, record.get(self.key(item)))
            if state != "same":
                reasons.append(self.reason(server, item, state, found))
        return reasons

    def reason(self, server: Server, item: Item, state: State, found: str) -> Reason:
        """The words for any state but `same`."""
        kind, name, where = self.kind.noun, item.name, item.where
        again = _AGAIN if server.is_ours else server.command(self.kind.creation(item))
        if state == "missing":
            text = _("the {kind} {name} is declared ({where}), and not there", kind=kind, name=name, where=where)
            return Reason(text, again)
        if state == "edited" and self.kind.can_change:
            text = _("the {kind} {name} is not yet as it is declared now ({where})", kind=kind, name=name, where=where)
            return Reason(text, again)
        removal = server.command(self.kind.removal(item.namespace, item.name))
        if description := self.kind.describe(found):
            text = _(
                "the {kind} {name} {difference}, and {wanted} is declared ({where})",
                kind=kind,
                name=name,
                difference=description,
                wanted=self.kind.wanted(item),
                where=where,
            )
            return Reason(text, _corrected(removal, again))
        if state == "changed":
            text = _(
                "the {kind} {name} was changed since mika made it, and does not do what is declared ({where})",
                kind=kind,
                name=name,
                where=where,
            )
            return Reason(text, _corrected(removal, again))
        text = _(
            "the declared {kind} {name} ({where}) exists, and mika did not make it: it is left as it is",
            kind=kind,
            name=name,
            where=where,
        )
        fix = _(
            "rename the declared one, or, if the other one is not needed, {removal}; then {again}",
            removal=removal,
            again=again,
        )
        return Reason(text, fix)


def _corrected(removal: str, again: str) -> str:
    return _("correct the declaration, or {removal}; then {again}", removal=removal, again=again)


AnyGroup = Group[Namespace] | Group[SearchAttribute] | Group[NexusEndpoint] | Group[Schedule]


def groups(declared: Declared) -> tuple[AnyGroup, ...]:
    """The kinds of which something is declared, in the order in which they are made."""
    found: tuple[AnyGroup, ...] = (
        Group(_NAMESPACES, declared.namespaces),
        Group(_ATTRIBUTES, declared.search_attributes),
        Group(_ENDPOINTS, declared.nexus_endpoints),
        Group(SCHEDULES, declared.schedules),
    )
    return tuple(group for group in found if group.items)


async def differences(server: Server, declared: Declared, record: Record) -> list[Reason]:
    """What is not as it is declared, and what mika has made and nobody declares any more."""
    reasons: list[Reason] = []
    keys: set[Key] = set()
    for group in groups(declared):
        keys |= group.keys()
        reasons += await group.differences(server, record)
    for noun, namespace, name in sorted(record.made.keys() - keys):
        kind = _BY_NOUN.get(noun)
        if kind is None:  # a later mika has made it
            continue
        if await find(kind.find, server.temporal, namespace, name) is None:
            continue
        there = server.temporal.in_namespace(name)
        if kind is _NAMESPACES and (name == server.temporal.namespace or await there.heartbeating_queues()):
            continue  # who uses it has no need to declare it
        text = _("the {kind} {name} was declared before, and is still there", kind=noun, name=name)
        fix = _("declare it again, or {removal}", removal=server.command(kind.removal(namespace, name)))
        if kind is _NAMESPACES and await _may_have_open_runs(there):
            fix = _("declare it again")
        reasons.append(Reason(text, fix))
    return reasons


async def _may_have_open_runs(namespace: Temporal) -> bool:
    from temporalio.service import RPCError

    try:
        return await namespace.count_workflows("ExecutionStatus = 'Running'") > 0
    except RPCError:
        return True


class RefusedError(NotYet):
    """The server says no to what is declared: it would say so again."""


@contextlib.contextmanager
def named(noun: str, name: str) -> Iterator[None]:
    """Errors of the SDK, and of the record's file, become NotYet that says what was waited for."""
    from temporalio.exceptions import TemporalError

    try:
        yield
    except (TemporalError, RuntimeError) as error:
        text = _("{kind} {name}: {error}", kind=noun, name=name, error=describe(error))
        raise NotYet(Reason(text)) from error
    except OSError as error:
        text = _(
            "{kind} {name}: .mika/data cannot be written: {error}",
            kind=noun,
            name=name,
            error=error.strerror or error,
        )
        raise NotYet(Reason(text, _("make room there, and check who may write to it"))) from error


@contextlib.contextmanager
def refusals(noun: str, item: Thing) -> Iterator[None]:
    """Answers to a request that cannot succeed become RefusedError."""
    from temporalio.service import RPCError

    try:
        yield
    except RPCError as error:
        if int(error.status) not in _HOPELESS:
            raise
        text = _(
            "{where}: Temporal refuses the {kind} {name}: {error}",
            where=item.where,
            kind=noun,
            name=item.name,
            error=describe(error),
        )
        raise RefusedError(Reason(text, _("correct it, then run `mika up` again"))) from error


async def find(finder: Finder, temporal: Temporal, namespace: str, name: str) -> str | None:
    """As `Kind.find`; in a namespace that does not exist there is nothing."""
    from temporalio.service import RPCError

    try:
        return await finder(temporal.in_namespace(namespace), name)
    except RPCError as error:
        if call_error(error) == CallError.NOT_FOUND:
            return None
        raise
