"""Frozen dataclasses that cost a twentieth of the time to define.

`dataclasses` compiles up to six functions for each frozen class, which takes 0.5 to 1 ms. A hundred such classes were a
quarter of the time from `mika up` to the first line of a program. Here all classes share one set of functions. An
instance takes a few microseconds more, so what there are very many of, such as log lines, are dataclasses as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_T]) -> type[_T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool) -> Callable[[type[_T]], type[_T]]: ...


def frozen(cls: type[_T] | None = None, *, kw_only: bool = False) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Like `@dataclass(frozen=True)`: `fields`, `replace`, `asdict`, `match` and `field(...)` work with it."""

    def define(cls: type[_T]) -> type[_T]:
        cls.__doc__ = cls.__doc__ or cls.__name__  # else `dataclass` writes one with `inspect.signature`: 0.1 to 3 ms
        made = dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        for name in _SHARED:
            if name not in vars(cls):
                setattr(made, name, vars(_Shared)[name])
        return made

    return define if cls is None else define(cls)


class _Plan:
    """What the shared functions need to know of one class. Made when there is a first instance."""

    def __init__(self, cls: type[Any]) -> None:
        every = fields(cls)
        self.names = {item.name for item in every}
        self.given = {item.name for item in every if item.init}
        self.in_order = [item.name for item in every if item.init and not item.kw_only]
        self.defaults = {item.name: item.default for item in every if item.default is not MISSING}
        self.factories = [(i.name, i.default_factory) for i in every if i.default_factory is not MISSING]
        self.shown = [item.name for item in every if item.repr]
        self.compared = [item.name for item in every if item.compare]
        self.then: Callable[[Any], None] | None = getattr(cls, "__post_init__", None)


_plans: dict[type, _Plan] = {}


def _plan(value: object) -> _Plan:
    cls = type(value)
    if cls not in _plans:
        _plans[cls] = _Plan(cls)
    return _plans[cls]


def _compared(value: object) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in _plan(value).compared])


class _Shared:
    """The methods of all frozen classes; none inherits from it."""

    def __init__(self, /, *args: object, **given: object) -> None:
        plan = _plan(self)
        for name, value in zip(plan.in_order, args, strict=False):
            if name in given:
                raise TypeError(f"{type(self).__name__}: {name} is given twice")
            given[name] = value
        values = plan.defaults | given
        for name, make in plan.factories:
            if name not in values:
                values[name] = make()
        if len(args) > len(plan.in_order) or not given.keys() <= plan.given or values.keys() != plan.names:
            wrong = (
                sorted(given.keys() - plan.given) or sorted(plan.names - values.keys()) or [f"{len(args)} arguments"]
            )
            raise TypeError(f"{type(self).__name__}: unexpected or missing: {', '.join(wrong)}")
        self.__dict__.update(values)
        if plan.then is not None:
            plan.then(self)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _plan(self).shown)
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_compared(self))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(name)

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(name)


_SHARED = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")
