"""Ask a worker's program what its workflows take, and have it start one, or talk to one, with its own client."""

from __future__ import annotations

from collections.abc import Mapping

from mika.decoded import Json
from mika.frozen import frozen
from mika.reason import Reason
from mika.replay.check import TIMEOUT, Program, run_program
from mika.replay.program import Order, Outcome
from mika.replay.verdict import judge
from mika.wording import _


@frozen
class Parameter:
    """One argument. `type` is empty where the function does not say; `default` is its source text."""

    name: str
    type: str
    required: bool
    default: str
    schema: Json

    def __str__(self) -> str:
        text = f"{self.name}: {self.type}" if self.type else self.name
        return text if self.required else f"{text} = {self.default}"


@frozen
class WorkflowType:
    """What a worker has registered. `name` is `*` for a dynamic workflow, which takes any."""

    name: str
    doc: str
    queue: str
    program: Program
    parameters: tuple[Parameter, ...]
    handlers: Mapping[str, Mapping[str, tuple[Parameter, ...]]]
    """`signals`, `queries` and `updates`, by their names."""

    def as_json(self) -> dict[str, object]:
        def shown(parameters: tuple[Parameter, ...]) -> list[dict[str, object]]:
            return [
                {"name": each.name, "required": each.required, "default": each.default or None, "schema": each.schema}
                for each in parameters
            ]

        return {
            "type": self.name,
            "doc": self.doc,
            "queue": self.queue,
            "process": self.program.unit.type,
            "parameters": shown(self.parameters),
            **{
                kind: {name: shown(parameters) for name, parameters in found.items()}
                for kind, found in self.handlers.items()
            },
        }


async def describe(program: Program) -> list[WorkflowType] | Reason:
    """The workflows of a program; or why it could not be asked."""
    outcome = await run_program(program, Order(do="describe"))
    if isinstance(outcome, Reason):
        return outcome
    if not outcome.report.described:
        return _why(program, outcome)
    return [
        _workflow(described, str(line["queue"]), program)
        for line in outcome.report.described
        for described in line["workflows"]
    ]


async def call(program: Program, what: Mapping[str, object]) -> Json | Reason:
    """The answer of the program to a call, see `hook/mika_inside/starting.py`; or why it could not be asked.

    Its `state` is `done`, `refused`, `failed`, or `not_here`: no worker of that queue has that type.
    """
    outcome = await run_program(program, Order(do="call", call=what))
    if isinstance(outcome, Reason):
        return outcome
    called = outcome.report.called
    return outcome.report.answer or (called[0] if called else _why(program, outcome))


def _why(program: Program, outcome: Outcome) -> Reason:
    verdict = judge(program.unit.type, program.folder.project, outcome)
    if verdict.error is not None or verdict.ended is not None or verdict.unchecked:
        return next(iter(verdict.reasons()))
    return Reason(_("not checked: no worker of it has answered within {seconds:g} s", seconds=TIMEOUT))


def _workflow(line: Json, queue: str, program: Program) -> WorkflowType:
    return WorkflowType(
        str(line["name"]),
        str(line["doc"]),
        queue,
        program,
        _parameters(line["parameters"]),
        {
            kind: {str(name): _parameters(parameters) for name, parameters in line[kind].items()}
            for kind in ("signals", "queries", "updates")
        },
    )


def _parameters(lines: Json) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(str(line["name"]), str(line["type"]), bool(line["required"]), str(line["default"]), line["schema"])
        for line in lines
    )
