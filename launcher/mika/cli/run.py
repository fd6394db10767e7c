"""`mika run`: start a workflow of any type, with the client of the program that has it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click

from mika.cli.asking import ask
from mika.cli.context import Context, json_option, print_json
from mika.cli.input_option import input_option, texts_of
from mika.cli.language import echo
from mika.cli.spelling import say
from mika.diagnosis.commands import for_workflow
from mika.doctor.examination import Examination
from mika.doctor.workflows.story import Story, investigate
from mika.doctor.workflows.talking import Answer
from mika.errors import FAILED, OK, MikaError, UsageError
from mika.replay.check import Program
from mika.replay.describing import WorkflowType
from mika.stack import running
from mika.stack.running import Started
from mika.wording import _


@click.command("run")
@click.argument("workflow_type", metavar="[TYPE]", default="")
@input_option
@click.option("--queue", default="", metavar="NAME", help="The task queue, where the programs here do not tell it.")
@click.option("--id", "workflow_id", default="", metavar="ID", help="Its id; else the type and a random number.")
@click.option("--wait", "wait", is_flag=True, help="Wait for its end, and print the result.")
@click.option("--list", "only_list", is_flag=True, help="The workflows of the programs here, and what they take.")
@json_option
@click.pass_obj
def run_command(
    context: Context,
    workflow_type: str,
    inputs: tuple[str, ...],
    queue: str,
    workflow_id: str,
    wait: bool,
    only_list: bool,
    as_json: bool,
) -> None:
    """Start a workflow. Its arguments are checked first, by the types of the code.

    Exit code 1: it could not be started, or (--wait) it did not complete. 2: it does not take this.
    """
    if only_list:
        _list(running.programs(context.load_started(), context.folder), as_json=as_json)
        return
    if not workflow_type:
        raise UsageError(_("which workflow?"), _("`mika run --list` shows them; then `mika run TYPE --input JSON`"))
    texts = texts_of(inputs)
    programs = running.programs(context.load_started(), context.folder)
    begun: list[Started] = []

    async def work(exam: Examination) -> tuple[Answer | None, Story | None]:
        begun.append(await running.start(exam, programs, workflow_type, texts, queue=queue, workflow_id=workflow_id))
        for note in begun[0].notes:
            _say(note)
        if not wait:
            return None, None
        _say(_("started {workflow} in {queue}", workflow=begun[0].id, queue=begun[0].queue))
        answer = await running.result(exam, begun[0], _say)
        if answer is not None:
            return answer, None
        async with exam.again() as later:
            return None, await investigate(later, begun[0].id)

    try:
        answer, story = ask(context, work)
    except KeyboardInterrupt:
        if begun:
            command = for_workflow("doctor --workflow", begun[0].id)
            _say(_("{workflow} goes on; {command} tells how", workflow=begun[0].id, command=command))
        raise
    _show(begun[0], answer, story, waited=wait, as_json=as_json)
    sys.exit(FAILED if story is not None else OK)


def _say(text: str) -> None:
    say(text, err=True)  # not to standard output, which is for the result


def _show(started: Started, answer: Answer | None, story: Story | None, *, waited: bool, as_json: bool) -> None:
    if as_json:
        value: dict[str, object] = {"version": 1, "id": started.id, "run_id": started.run_id, "queue": started.queue}
        value["notes"] = list(started.notes)
        if answer is not None:
            value |= {"result": answer.value, "encoding": answer.encoding or None}
        if story is not None:
            value |= {"cause": str(story.diagnosis.cause), "finding": story.diagnosis.finding}
        print_json(value)
    elif answer is not None:
        show_answer(answer)
    elif story is not None:
        _say(_("{cause}: {finding}", cause=story.diagnosis.cause, finding=story.diagnosis.finding))
        if story.diagnosis.fix:
            _say("      " + story.diagnosis.fix)
    elif not waited:
        say(
            _(
                "started {workflow} in {queue} (run {run})",
                workflow=started.id,
                queue=started.queue,
                run=started.run_id,
            )
        )


def show_answer(answer: Answer) -> None:
    """As JSON. Raises MikaError for what only the program's own converter can read."""
    if answer.encoding:
        raise MikaError(
            _("the answer is there, but only its own program can read it ({encoding})", encoding=answer.encoding)
        )
    print_json(answer.value)


def _list(programs: Sequence[Program], *, as_json: bool) -> None:
    known = asyncio.run(running.types(programs))
    if as_json:
        unasked = [{"process": program.unit.type, **reason.as_json()} for program, reason in known.unasked]
        print_json({"version": 1, "workflows": [each.as_json() for each in known.workflows], "unasked": unasked})
        return
    for workflow in known.workflows:
        for line in _lines(workflow):
            echo(line)
    for program, reason in known.unasked:
        _say(_("{name}: {text}", name=program.unit.type, text=reason))
    if not known.workflows and not known.unasked:
        raise MikaError(
            _("no process here polls a task queue, as far as the settings say"), _('see `ready = "worker:NAME"`')
        )


def _lines(workflow: WorkflowType) -> list[str]:
    what = f"{click.style(workflow.name, bold=True)}({', '.join(map(str, workflow.parameters))})"
    if workflow.name == "*":
        what = _("(any other type)")
    lines: list[str] = [
        _("{what}  in {queue}, by {process}", what=what, queue=workflow.queue, process=workflow.program.unit.type)
    ]
    if workflow.doc:
        lines.append(f"    {workflow.doc}")
    for kind, handlers in workflow.handlers.items():
        singular = {"signals": "signal", "queries": "query", "updates": "update"}[kind]
        lines += [f"    {singular} {name}({', '.join(map(str, takes))})" for name, takes in handlers.items()]
    return lines
