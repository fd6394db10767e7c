"""`mika signal`, `mika update`, `mika query`: talk to one workflow."""

from __future__ import annotations

from collections.abc import Callable

import click

from mika.cli.asking import ask
from mika.cli.context import Context, json_option, print_json
from mika.cli.input_option import input_option, texts_of
from mika.cli.language import echo
from mika.cli.run import show_answer
from mika.cli.spelling import say
from mika.stack import running
from mika.wording import _


def _to_one(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments of all of them."""
    for decorate in (
        click.pass_obj,
        json_option,
        input_option,
        click.argument("name", metavar="NAME"),
        click.argument("workflow_id", metavar="ID"),
    ):
        function = decorate(function)
    return function


@click.command("signal")
@_to_one
def signal_command(context: Context, workflow_id: str, name: str, inputs: tuple[str, ...], as_json: bool) -> None:
    """Send a signal to a workflow that runs. What it does not take is refused before it is sent."""
    _talk(context, "signal", workflow_id, name, inputs, as_json=as_json)


@click.command("update")
@_to_one
def update_command(context: Context, workflow_id: str, name: str, inputs: tuple[str, ...], as_json: bool) -> None:
    """Send an update to a workflow that runs, and print its result as JSON."""
    _talk(context, "update", workflow_id, name, inputs, as_json=as_json)


@click.command("query")
@_to_one
def query_command(context: Context, workflow_id: str, name: str, inputs: tuple[str, ...], as_json: bool) -> None:
    """Ask a workflow, and print its answer as JSON. One that has ended answers, too, if a worker is there."""
    _talk(context, "query", workflow_id, name, inputs, as_json=as_json)


def _say(text: str) -> None:
    say(text, err=True)  # not to standard output, which is for the answer


def _talk(
    context: Context, verb: running.Verb, workflow_id: str, name: str, inputs: tuple[str, ...], *, as_json: bool
) -> None:
    texts = texts_of(inputs)
    programs = running.programs(context.load_started(), context.folder)
    talked = ask(context, lambda exam: running.talk(exam, programs, verb, workflow_id, name, texts, _say))
    for note in talked.notes:
        _say(note)
    if as_json:
        value: dict[str, object] = {"version": 1, "id": talked.id, "notes": list(talked.notes)}
        if verb != "signal":
            value |= {"result": talked.answer.value, "encoding": talked.answer.encoding or None}
        print_json(value)
    elif verb == "signal":
        echo(_("signalled {workflow}: {name}", workflow=talked.id, name=name))
    else:
        show_answer(talked.answer)
