"""What came of a run of chaos, and the judgement on it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from temporalio.client import WorkflowExecutionStatus

from tests.chaos.books import Books
from tests.chaos.commands import BOUNDS
from tests.chaos.killer import Kill
from tests.chaos.options import Options
from tests.chaos.stream import Message


@dataclass
class Report:
    """What came of it; `lost`, `doubled` and `other` have one line for each thing that must not be."""

    options: Options
    seconds: float
    messages: Sequence[Message]
    kills: Sequence[Kill]
    gave_up: int
    failed_ups: int
    redone: int
    commands: Mapping[str, Sequence[float]] = field(default_factory=dict)  # seconds, by name
    left: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.left or self.other)

    @property
    def answered(self) -> int:
        return sum(message.answered is not None for message in self.messages)

    def __str__(self) -> str:
        task_timeout = self.options.task_timeout or 30
        chosen = Counter(kill.target for kill in self.kills)
        refusals = sum((message.refusals for message in self.messages), Counter[str]())
        latency = [m.answered - m.began for m in self.messages if m.answered is not None]
        head = f"{len(self.kills)} kills in {self.seconds:.0f} s (seed {self.options.seed}, WORKFLOW_TASK_TIMEOUT"
        lost, doubled = len(self.lost), len(self.doubled)
        lines = [
            f"{head} {task_timeout:g} s): {_counts(chosen)}",
            f"messages sent {len(self.messages)}, answered {self.answered}, lost {lost}, doubled {doubled}",
            f"processes left after `mika down`: {len(self.left)}",
            f"posted again because of: {_counts(refusals) or 'nothing'}",
            f"runs that were redone: {self.redone}; gave up: {self.gave_up}; failed `mika up`: {self.failed_ups}",
            f"a message, from the first post to its answer: {_times(latency)}",
            f"a new message is answered, after a kill: {_times(self._answered_again())}",
            "ready again, after a kill:",
        ]
        for target in chosen:
            backs = [kill.back for kill in self.kills if kill.target == target and kill.back is not None]
            lines.append(f"  {target}: {_times(backs)}")
        lines.append(f"  all: {_times([kill.back for kill in self.kills if kill.back is not None])}")
        lines += ["commands:"] if self.commands else []
        for name, seconds in self.commands.items():
            lines.append(f"  {name}: {_times(seconds)}, bound {BOUNDS[name]:g} s")
        return "\n".join([*lines, *self.lost, *self.doubled, *self.left, *self.other])

    def _answered_again(self) -> list[float]:
        """For each kill: from it to the first answer to a message that was first posted after it."""
        return [
            min(after) - kill.at
            for kill in self.kills
            if (after := [m.answered for m in self.messages if m.began > kill.at and m.answered is not None])
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    median = statistics.median(ordered)
    return f"median {median:.2f} s, p99 {p99:.2f} s, longest {ordered[-1]:.2f} s ({len(ordered)} times)"


def judge(report: Report, books: Books) -> None:
    known = {message.text for message in report.messages}
    report.other += [f"a turn that nobody sent: {text}" for text in books.turns if text not in known]
    for message in report.messages:
        turns = books.turns.get(message.text, [])
        ids = message.workflow_ids | {workflow_id for workflow_id, _ in turns}
        completed = sum(books.runs[i].count(WorkflowExecutionStatus.COMPLETED) for i in ids)
        saves = sum(books.saves[i] for i in ids)
        told = (
            f"{message.id}: {len(turns)} turns, {completed} completed runs, {saves} saves, {len(ids)} workflow ids,"
            f" {len(message.replies)} different replies, refusals: {_counts(message.refusals)},"
            f" runs: {[status.name for i in ids for status in books.runs[i]]}"
        )
        if message.accepted and (not turns or not completed):
            report.lost.append(f"lost {told}")
        elif max(len(turns), completed, saves, len(ids), len(message.replies)) > 1:
            report.doubled.append(f"doubled {told}")
        elif message.replies and message.replies != {reply for _, reply in turns}:
            report.other.append(f"another reply was stored than given: {told}")
        elif message.replies and message.text not in next(iter(message.replies)):
            report.other.append(f"the reply to another message: {told}")
        elif message.answered is None:
            report.other.append(f"never answered: {told}")
