"""Start a workflow, or talk to one, with the client of the program that runs it where that is possible.

Its converter and codec then make the payloads, and what does not fit is refused before anything is sent. Where the
program cannot be asked, mika's own client sends JSON.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mika.config.load import Config
from mika.decoded import Json
from mika.detect import written
from mika.diagnosis.fixes import fix_of_refused_call
from mika.diagnosis.proto import readable
from mika.doctor.examination import Examination
from mika.doctor.workflows import talking
from mika.doctor.workflows.story import connect, find, find_running
from mika.doctor.workflows.talking import Answer
from mika.errors import MikaError, UsageError
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.replay.check import Program
from mika.replay.describing import WorkflowType, call, describe
from mika.stack import checking
from mika.text import did_you_mean
from mika.wording import _, joined, listed

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution

Verb = Literal["signal", "update", "query"]


@frozen
class Types:
    """What the programs of the project have told, and why one has not."""

    workflows: tuple[WorkflowType, ...]
    unasked: tuple[tuple[Program, Reason], ...]


@frozen
class Started:
    """A workflow that was started. `program` is None if mika's own client did that; `notes`: what was not checked."""

    id: str
    run_id: str
    type: str
    queue: str
    program: Program | None
    notes: tuple[str, ...]


@frozen
class Talked:
    """What a workflow has answered; a signal has no answer. `notes`: what was not checked."""

    id: str
    answer: Answer
    notes: tuple[str, ...] = ()


def programs(config: Config, folder: ProjectDir) -> list[Program]:
    """The processes that poll a task queue, as far as the settings say. Not for an event loop."""
    try:
        return checking.programs(config, folder)
    except UsageError:
        if (config.project / "Procfile").exists():
            raise
        return []  # the workers are somewhere else


async def types(programs: Sequence[Program]) -> Types:
    """The workflows of all programs, in the order of their names."""
    told = await asyncio.gather(*(describe(program) for program in programs))
    found, unasked = list[WorkflowType](), list[tuple[Program, Reason]]()
    for program, answer in zip(programs, told, strict=True):
        if isinstance(answer, Reason):
            unasked.append((program, answer))
        else:
            found += answer
    return Types(tuple(sorted(found, key=lambda each: (each.name, each.queue))), tuple(unasked))


async def start(
    exam: Examination, programs: Sequence[Program], kind: str, texts: Sequence[str], *, queue: str, workflow_id: str
) -> Started:
    """Start a workflow of the type `kind` with the arguments `texts`, each of them JSON.

    `queue` and `workflow_id` may be empty. Raises UsageError for an unknown type, for input that does not fit, and
    where no queue or several are known; NotRunningError and MikaError as `connect`.
    """
    await connect(exam)
    workflow_id = workflow_id or f"{kind}-{secrets.token_hex(4)}"
    what = {"call": "start", "type": kind, "id": workflow_id, "input": list(texts)}
    target = _likely(programs, queue)
    answer: Json | Reason = None
    if target is not None:
        answer = await call(target[0], {**what, "queue": target[1]})
    if target is None or isinstance(answer, Reason) or answer["state"] == "not_here":
        if target is not None and isinstance(answer, Reason):
            known = Types((), ((target[0], answer),))
        else:
            known = await types(programs)
        if not queue and not known.workflows:
            queue = await _only_queue(exam)
        wanted = _choose(known, kind, queue)
        if wanted is None:
            run_id = await talking.start(exam, kind, texts, queue=queue, workflow_id=workflow_id)
            note = _as_json(_why_unasked(known), _("no `ready` rule names {queue}", queue=queue))
            return Started(workflow_id, run_id, kind, queue, None, (note,))
        target = wanted.program, wanted.queue
        answer = await call(target[0], {**what, "queue": target[1]})
    program, its_queue = target
    if isinstance(answer, Reason):
        raise MikaError(_("{name}: {problem}", name=program.unit.type, problem=answer.text), answer.fix)
    _raise_unless_started(answer, kind, workflow_id)
    return Started(workflow_id, str(answer["run_id"]), kind, its_queue, program, _unchecked(answer))


def _likely(programs: Sequence[Program], queue: str) -> tuple[Program, str] | None:
    """The program whose `ready` rule has the queue, or the only program, if that has one queue: no other is asked."""
    of_queue = [program for program in programs if queue in program.queues]
    if of_queue:
        return of_queue[0], queue
    is_only = not queue and len(programs) == 1 and len(programs[0].queues) == 1
    return (programs[0], programs[0].queues[0]) if is_only else None


async def _only_queue(exam: Examination) -> str:
    """The task queue of this project, if there is one only; else an empty text.

    Where no rule names any, as with a worker inside a web app, the one in the code.
    """
    queues = await exam.queues() or sorted(await in_thread(lambda: written.queues_in_code(exam.config)))
    return queues[0] if len(queues) == 1 else ""


def _raise_unless_started(answer: Json, kind: str, workflow_id: str) -> None:
    if answer["state"] == "refused":
        text = _("{name}: {problem}", name=kind, problem=answer["text"])
        raise UsageError(text, _("`mika run --list` shows what it takes"))
    if answer["state"] != "done":
        if answer.get("error") == "WorkflowAlreadyStartedError":
            raise talking.already_started(workflow_id)
        error = f"{answer.get('type')}: {answer.get('text')}"
        raise MikaError(_("{type} was not started: {error}", type=kind, error=error), fix_of_refused_call(error))


def _choose(known: Types, kind: str, queue: str) -> WorkflowType | None:
    """The workflow to start; None if only `queue` is known. Raises UsageError if it cannot be told."""
    here = [each for each in known.workflows if queue in ("", each.queue)]
    named = [each for each in here if each.name == kind] or [each for each in here if each.name == "*"]
    queues = sorted({each.queue for each in named})
    if len(queues) > 1:
        raise UsageError(
            _("{type} runs in several queues: {queues}", type=kind, queues=listed(queues)),
            _("give one: `--queue {queue}`", queue=queues[0]),
        )
    if named:
        return named[0]
    if here:
        names = sorted({each.name for each in here})
        values = {"type": kind, "suggestion": did_you_mean(kind, names), "names": listed(names)}
        raise UsageError(
            _(
                "there is no workflow '{type}' in the queue {queue}{suggestion} (there are: {names})",
                queue=queue,
                **values,
            )
            if queue
            else _("there is no workflow '{type}'{suggestion} (there are: {names})", **values)
        )
    if queue:
        return None
    likely = next((queue for program, _why in known.unasked for queue in program.queues), "NAME")
    why = _why_unasked(known) or _("no `ready` rule names one")
    raise UsageError(
        _("the task queue of {type} is not known ({why})", type=kind, why=why),
        _("give it: `--queue {queue}`", queue=likely),
    )


def _as_json(said: str, otherwise: str) -> str:
    """`said` is why the programs were not asked, and says itself that nothing was checked."""
    return _("sent as JSON ({why})", why=said) if said else _("sent as JSON, and not checked ({why})", why=otherwise)


def _why_unasked(known: Types) -> str:
    unasked = known.unasked
    return joined(
        _("; "), (_("{name}: {problem}", name=each.unit.type, problem=reason.text) for each, reason in unasked)
    )


def _unchecked(answer: Json) -> tuple[str, ...]:
    names = listed(answer.get("unchecked") or ())
    return (_("not checked, because the code says no type: {names}", names=names),) if names else ()


async def talk(
    exam: Examination,
    programs: Sequence[Program],
    verb: Verb,
    wanted: str,
    name: str,
    texts: Sequence[str],
    say: talking.Say,
) -> Talked:
    """Send a signal, an update or a query to the workflow `wanted` (an id, a unique part of one, or `last`).

    A signal goes through the program that runs the workflow: one that does not fit would be dropped there, and nobody
    would hear of it. The others do so only if a codec is at work, because the workflow itself refuses what does not
    fit. `say` hears why an answer takes long. Raises MikaError and UsageError as `start`.
    """
    if verb == "query":  # one that has ended answers, too
        info = (await find(exam, wanted)).workflow_execution_info
    else:
        info = await find_running(exam, wanted)
    execution, queue = info.execution, info.task_queue
    program = next((each for each in programs if queue in each.queues), None)
    notes: tuple[str, ...] = ()
    if verb == "signal" or await _has_codec(exam, execution):
        target = {"queue": queue, "type": info.type.name, "id": execution.workflow_id, "run_id": execution.run_id}
        what = {"call": verb, "name": name, "input": list(texts), **target}
        nobody = Reason(_("no `ready` rule names {queue}", queue=queue))
        answer = await call(program, what) if program is not None else nobody
        if not isinstance(answer, Reason) and answer["state"] != "not_here":
            return Talked(execution.workflow_id, _judged(answer, verb, name, execution.workflow_id), _unchecked(answer))
        not_there = _("its program has no workflow {type}", type=info.type.name)
        said = answer.text if isinstance(answer, Reason) and program is not None else ""
        notes = (_as_json(said, nobody.text if program is None else not_there),)
    if verb == "signal":
        await talking.signal(exam, execution, name, texts)
        return Talked(execution.workflow_id, Answer(), notes)
    return Talked(execution.workflow_id, await talking.ask(exam, execution, verb, name, texts, say), notes)


def _judged(answer: Json, verb: Verb, name: str, workflow_id: str) -> Answer:
    if answer["state"] == "refused":
        text = _("{name}: {problem}", name=name, problem=answer["text"])
        raise UsageError(text, _("`mika run --list --json` shows what it takes"))
    if answer["state"] == "failed":
        raise talking.failed(verb, name, workflow_id, f"{answer['type']}: {answer['text']}")
    return Answer(answer.get("result"))


async def _has_codec(exam: Examination, execution: WorkflowExecution) -> bool:
    """Whether its own input is something else than JSON."""
    first = (await (await exam.temporal()).first_events(execution))[0].workflow_execution_started_event_attributes
    return not all(readable(payload)[0] for payload in first.input.payloads)


async def result(exam: Examination, started: Started, say: talking.Say) -> Answer | None:
    """Wait for its end; None if it does not complete. What is not JSON, its own program reads."""
    answer = await talking.result(exam, started.id, started.run_id, say)
    if answer is None or not answer.encoding or started.program is None:
        return answer
    what = {"call": "result", "queue": started.queue, "type": started.type, "id": started.id, "run_id": started.run_id}
    read = await call(started.program, what)
    return answer if isinstance(read, Reason) or read["state"] != "done" else Answer(read["result"])
