"""`@frozen` does what `@dataclass(frozen=True)` does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest
from mika.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 0
    name: str = field(default="p", repr=False)
    tags: list[str] = field(default_factory=list, compare=False)


@frozen(kw_only=True)
class Solid(Point):
    z: int

    def __post_init__(self) -> None:
        if self.z < 0:
            raise ValueError("below the floor")


@dataclass(frozen=True)
class Plain:
    x: int
    y: int = 0
    name: str = field(default="p", repr=False)
    tags: list[str] = field(default_factory=list, compare=False)


def test_it_holds_what_it_is_given_and_its_defaults() -> None:
    assert asdict(Point(1)) == asdict(Plain(1))
    assert asdict(Point(1, 2, tags=["a"])) == asdict(Plain(1, 2, tags=["a"]))
    assert Point(1).tags is not Point(1).tags
    assert [item.name for item in fields(Solid)] == ["x", "y", "name", "tags", "z"]
    assert repr(Solid(1, z=3)) == "Solid(x=1, y=0, tags=[], z=3)"
    assert repr(Point(1)) == repr(Plain(1)).replace("Plain", "Point")


def test_it_is_equal_to_its_like_only() -> None:
    assert Point(1, tags=["a"]) == Point(1, tags=["b"])
    assert hash(Point(1, tags=["a"])) == hash(Point(1, tags=["b"]))
    assert Point(1) != Point(2)
    assert Point(1) != Solid(1, z=0)
    plain: object = Plain(1)
    assert Point(1) != plain


def test_copies_and_changes() -> None:
    solid = Solid(1, z=3)
    assert replace(solid, z=4) == Solid(1, z=4)
    assert copy.deepcopy(solid) == pickle.loads(pickle.dumps(solid)) == solid
    match solid:
        case Point(x, y):
            assert (x, y) == (1, 0)
    with pytest.raises(ValueError, match="floor"):
        replace(solid, z=-1)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda cls: cls(), "x"),
        (lambda cls: cls(1, x=2), "x"),
        (lambda cls: cls(1, w=2), "w"),
        (lambda cls: cls(1, 2, "", [], 5), "5"),
    ],
)
def test_what_does_not_fit_is_a_type_error(make: Callable[[Any], object], wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        make(Point)
    with pytest.raises(TypeError):
        make(Plain)


def test_nothing_can_be_changed() -> None:
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2
    with pytest.raises(FrozenInstanceError):
        del point.x
    with pytest.raises(FrozenInstanceError):
        point.other = 2
    assert point == Point(1)
