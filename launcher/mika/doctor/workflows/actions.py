"""Cancel, terminate or retry one workflow."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mika.diagnosis import proto
from mika.doctor.examination import Examination
from mika.doctor.workflows.story import find, find_running
from mika.machine.local import in_thread

Confirm = Callable[[str], None]
"""Asks a question; raises MikaError unless the answer is yes."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The new workflow, and the queue that it is in."""

    id: str
    queue: str


async def stop(exam: Examination, wanted: str, verb: Literal["cancel", "terminate"], confirm: Confirm) -> str:
    """Ask a running workflow to cancel itself, or terminate it without asking; returns its id.

    Raises MikaError if it does not run, or cannot be found.
    """
    info = await find_running(exam, wanted)
    workflow_id = str(info.execution.workflow_id)
    await _ask(confirm, f"{verb.capitalize()} {workflow_id} ({info.type.name})?")
    temporal = await exam.temporal()
    await (temporal.terminate(info.execution) if verb == "terminate" else temporal.request_cancel(info.execution))
    return workflow_id


async def _ask(confirm: Confirm, question: str) -> None:
    """In a thread: the event loop would keep Ctrl-C from whoever is asked."""
    await in_thread(lambda: confirm(question))


async def retry(exam: Examination, wanted: str, confirm: Confirm) -> Restarted:
    """Start a workflow again with the same input under a new id. Raises MikaError if it cannot be found.

    It goes into its old queue, unless only the one queue of the project has a worker; its time-outs are the old ones,
    unless the configuration gives it more.
    """
    info = (await find(exam, wanted)).workflow_execution_info
    old_id = str(info.execution.workflow_id)
    is_running = " It still runs: the message may be answered twice." if info.status == proto.RUNNING else ""
    await _ask(confirm, f"Start {old_id} ({info.type.name}) again?{is_running}")
    temporal = await exam.temporal()
    started = (await temporal.first_events(info.execution))[0].workflow_execution_started_event_attributes
    surroundings, queue = await exam.surroundings(), started.task_queue.name
    if not surroundings.alive(exam.namespace, queue) and len(surroundings.queues) == 1:
        queue = next((own for own in surroundings.queues if surroundings.alive(exam.namespace, own)), queue)

    def longer(old: float, setting: str) -> float:
        configured = exam.config.number(setting) if queue == surroundings.queue else 0.0
        return max(old, configured) if old else 0.0

    new_id = f"{old_id}-retry-{secrets.token_hex(3)}"
    await temporal.start_again(
        started,
        new_id,
        queue,
        run_timeout=longer(proto.span(started.workflow_run_timeout), "WORKFLOW_RUN_TIMEOUT"),
        execution_timeout=longer(proto.span(started.workflow_execution_timeout), "WORKFLOW_EXECUTION_TIMEOUT"),
    )
    return Restarted(new_id, queue)
