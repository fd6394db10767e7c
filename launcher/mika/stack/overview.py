"""A running stack at one glance: processes and what they use, services, task queues, the latest workflows.

Each part is found out by itself and within a time of its own: a server that hangs keeps nobody waiting. One model for
every view: `mika top` shows it as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Generic, TypeVar

from mika.diagnosis.survey import Queue
from mika.doctor.workflows.listing import Row
from mika.frozen import frozen
from mika.machine.usage import Use
from mika.reason import NONE, Reason
from mika.status import StackStatus

T = TypeVar("T")


@frozen
class Part(Generic[T]):
    """What was last known of a part (None: nothing yet), `age` seconds ago; and why nothing newer is, if that is so."""

    value: T | None = None
    age: float = 0.0
    problem: Reason = NONE

    @property
    def is_asked(self) -> bool:
        """Whether there has been an answer, or none, by now."""
        return self.value is not None or bool(self.problem)

    def as_json(self, value: object) -> dict[str, object]:
        """With `value`, the part's own as JSON; null where nothing is known."""
        return {
            "value": value,
            "age_s": None if self.value is None else round(self.age, 1),
            "problem": self.problem.as_json() if self.problem else None,
        }


@frozen(kw_only=True)
class Overview:
    """`queues` and `workflows` are None where the stack has no Temporal."""

    stack: Part[StackStatus] = Part()
    uses: Mapping[str, Use] = field(default_factory=dict)
    """By the name of a process or service; without those that do not run here."""
    queues: Part[tuple[Queue, ...]] | None = None
    workflows: Part[tuple[Row, ...]] | None = None

    def as_json(self) -> dict[str, object]:
        stack, queues, workflows = self.stack, self.queues, self.workflows
        return {
            "version": 1,
            "stack": stack.as_json(stack.value.as_json() if stack.value is not None else None),
            "uses": {name: use.as_json() for name, use in self.uses.items()},
            "queues": queues and queues.as_json([queue.as_json() for queue in queues.value or ()]),
            "workflows": workflows and workflows.as_json([row.as_json() for row in workflows.value or ()]),
        }
