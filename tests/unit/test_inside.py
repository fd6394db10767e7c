"""What runs inside a worker's program to describe its workflows and to check their input: on plain classes."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Annotated, Any, Literal, NewType

import pydantic
import pytest
import typing_extensions
from mika.replay.hook.mika_inside import describing, validating, words
from mika.wording import unpacked
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter

PLAIN, PYDANTIC = DataConverter.default.payload_converter, pydantic_data_converter.payload_converter
Sku = NewType("Sku", str)


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(typing_extensions.TypedDict):
    width: int
    label: typing_extensions.NotRequired[str]


@dataclasses.dataclass
class Item:
    sku: Sku
    color: Color = Color.RED
    sizes: list[Size] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Order:
    id: str
    items: list[Item]
    note: str | None = None
    weight: float = 1.0


class Strict(pydantic.BaseModel):
    count: int = pydantic.Field(gt=0)


class Workflow:
    async def of_order(self, order: Order, days: int = 3) -> None: ...
    async def untyped(self, anything, number: int) -> None: ...
    async def of_model(self, model: Strict) -> None: ...
    async def nothing(self) -> None: ...
    async def many(self, *words: str) -> None: ...
    async def annotated(self, count: Annotated[int, "at most 9"], sizes: list[Annotated[int, "mm"]]) -> None: ...
    async def choice(self, how: Literal["fast", "slow"], prices: dict[str, float]) -> None: ...


ITEM = '{"sku": "a", "color": "red", "sizes": [{"width": 1}]}'


@pytest.mark.parametrize(
    ("method", "texts", "says"),
    [
        (Workflow.of_order, ['{"id": 1, "items": []}'], "order.id: 1 is not a string"),
        (Workflow.of_order, ['{"id": "1"}'], "order.items: it is missing"),
        (Workflow.of_order, ['{"id": "1", "itms": []}'], "order.items: it is missing"),
        (Workflow.of_order, ['{"id": "1", "items": [], "nte": ""}'], "order.nte: there is no such field"),
        (Workflow.of_order, ['{"id": "1", "items": [{"sku": "a", "color": "pink"}]}'], "order.items[0].color: "),
        (
            Workflow.of_order,
            ['{"id": "1", "items": [{"sku": "a", "sizes": [{"width": "1"}]}]}'],
            'order.items[0].sizes[0].width: "1" is not an integer',
        ),
        (Workflow.of_order, ['{"id": "1", "items": [], "weight": true}'], "order.weight: true is not a number"),
        (Workflow.of_order, ['{"id": "1", "items": [], "note": 1}'], "order.note: 1 is not a string"),
        (Workflow.of_order, ['{"id": "1", "items": []}', "1.5"], "days: 1.5 is not an integer"),
        (Workflow.of_order, [], "it takes 1 to 2 arguments (order, days), not 0"),
        (Workflow.of_order, ["null"], "order: null is not an object"),
        (Workflow.nothing, ["1"], "it takes no arguments, not 1"),
        (Workflow.of_model, ['{"count": 0}'], "model.count: Input should be greater than 0"),
        (Workflow.many, ['"a"', "1"], "words: 1 is not a string"),
        (Workflow.choice, ['"quick"', "{}"], 'how: "quick" is none of "fast", "slow"'),
        (Workflow.choice, ['"fast"', '{"a": "b"}'], 'prices.a: "b" is not a number'),
    ],
)
@pytest.mark.parametrize("converter", [PLAIN, PYDANTIC], ids=["plain", "pydantic"])
def test_what_does_not_fit_is_refused_with_its_field(method, texts, says, converter) -> None:
    with pytest.raises(validating.RefusedError) as refused:
        validating.arguments(method, texts, converter)
    assert str(refused.value).startswith(says)


def test_a_refusal_can_be_said_in_another_language() -> None:
    with pytest.raises(validating.RefusedError) as refused:
        validating.arguments(Workflow.of_order, ['{"id": 1, "items": []}'], PLAIN)
    line = {"state": "refused", "text": refused.value.args[0]}
    text = unpacked(json.loads(json.dumps({**line, "texts": words.packed(line)})))["text"]
    chinese = {"{path}: {value} is not {kind}": "{path}：{value} 不是{kind}", "a string": "字符串"}
    assert text == "order.id: 1 is not a string"
    assert text.translated(lambda template: chinese[template]) == "order.id：1 不是字符串"


@pytest.mark.filterwarnings("ignore:The `(parse_obj|dict)` method is deprecated")  # the SDK's own use of it
@pytest.mark.parametrize("converter", [PLAIN, PYDANTIC], ids=["plain", "pydantic"])
def test_what_fits_becomes_what_the_worker_is_going_to_get(converter) -> None:
    text = f'{{"id": "1", "items": [{ITEM}], "note": null, "weight": 2}}'
    (order,), unchecked = validating.arguments(Workflow.of_order, [text], converter)
    assert isinstance(order, Order)
    assert (order.items, order.weight, unchecked) == ([Item(Sku("a"), Color.RED, [{"width": 1}])], 2, [])
    assert validating.arguments(Workflow.untyped, ['{"a": [1]}', "2"], converter) == ([{"a": [1]}, 2], ["anything"])
    assert validating.arguments(Workflow.of_model, ['{"count": 2}'], converter)[0] == [Strict(count=2)]
    assert validating.arguments(Workflow.many, ['"a"', '"b"'], converter)[0] == ["a", "b"]
    assert validating.arguments(Workflow.annotated, ["1", "[2]"], converter) == ([1, [2]], [])
    assert validating.arguments(Workflow.nothing, [], converter) == ([], [])


def test_without_pydantic_the_type_hints_tell(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydantic", None)
    order = describing.schema_of(Order)
    assert order["required"] == ["id", "items"]
    assert order["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert order["properties"]["items"]["items"]["properties"]["color"] == {"enum": ["red", "blue"]}
    with pytest.raises(validating.RefusedError, match="weight"):
        validating.arguments(Workflow.of_order, ['{"id": "1", "items": [], "weight": "1"}'], PLAIN)


def test_a_type_that_contains_itself_or_cannot_be_resolved_takes_everything() -> None:
    @dataclasses.dataclass
    class Tree:
        children: list[Any]

    Tree.__annotations__["children"] = list[Tree]
    assert describing.own_schema(Tree)["type"] == "object"

    class Other:
        async def run(self, it: NotThere) -> None: ...  # noqa: F821

    assert describing.parameters(Other.run)[0].hint is Any
