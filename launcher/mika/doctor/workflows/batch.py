"""What is to be done to several workflows, and doing it: a few at once, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeVar

from mika.errors import MikaError
from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

T = TypeVar("T")

_AT_ONCE = 4
_GAP = 0.02
"""Seconds after each: at most 200 a second, so that a server of a team has time for others."""
_BUSY_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before the next attempt while the server says that there are too many requests."""


class NeedlessError(Exception):
    """Nothing is left to do for this run, for the `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


@frozen
class Effect:
    """What was done, for people, and what of it a program may need."""

    text: str
    detail: Mapping[str, object] = field(default_factory=dict)


Act = Callable[[], Awaitable[Effect]]


@frozen(kw_only=True)
class Step:
    """What is planned for one run. Without an `act` nothing can be done, for the reason `why_not`."""

    info: WorkflowExecutionInfo
    does: str = ""
    """`reset to event 10`"""
    more: str = ""
    """What else is to be known before it is done."""
    act: Act | None = None
    why_not: Reason = NONE
    needless: bool = False
    """Nothing has to be done: that is no failure."""

    @property
    def id(self) -> str:
        return str(self.info.execution.workflow_id)


@frozen
class Outcome:
    """What became of a step."""

    step: Step
    state: Literal["done", "skipped", "failed"]
    reason: Reason
    detail: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.step.id,
            "run_id": self.step.info.execution.run_id,
            "type": self.step.info.type.name,
            "state": self.state,
            **self.reason.as_json(),
            **self.detail,
        }


async def carry_out(steps: Sequence[Step], told: Callable[[Outcome], None]) -> list[Outcome]:
    """Do what is planned; `told` hears of each run when it is done.

    An error of the server is the outcome of its run.
    """

    async def one(step: Step) -> Outcome:
        outcome = await _outcome(step)
        told(outcome)
        return outcome

    return await few_at_once(steps, one, _AT_ONCE, _GAP)


async def _outcome(step: Step) -> Outcome:
    from temporalio.service import RPCError

    if step.act is None:
        return Outcome(step, "skipped" if step.needless else "failed", step.why_not)
    try:
        effect = await _patiently(step.act)
    except NeedlessError as needless:
        return Outcome(step, "skipped", needless.reason)
    except RPCError as error:
        return Outcome(step, "failed", Reason(_("Temporal refuses: {error}", error=" ".join(str(error).split()))))
    except MikaError as error:
        return Outcome(step, "failed", Reason(error.message, error.hint))
    return Outcome(step, "done", Reason(effect.text), effect.detail)


async def _patiently(act: Act) -> Effect:
    from temporalio.service import RPCError, RPCStatusCode

    for pause in _BUSY_PAUSES:
        try:
            return await act()
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(pause)
    return await act()


S = TypeVar("S")


async def few_at_once(
    items: Sequence[S], work: Callable[[S], Awaitable[T]], most: int = 8, gap: float = 0.0
) -> list[T]:
    """The results in the order of `items`, with at most `most` at work, each followed by `gap` seconds."""
    gate = asyncio.Semaphore(most)

    async def one(item: S) -> T:
        async with gate:
            result = await work(item)
            await asyncio.sleep(gap)
            return result

    return list(await asyncio.gather(*map(one, items)))
