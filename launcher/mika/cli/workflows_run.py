"""What the commands of `mika workflows` share: the list, the question, the outcome of each run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

import click

from mika.cli.asking import ask
from mika.cli.context import Context, confirm, print_json
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.spelling import pasteable
from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import Outcome, Step, carry_out
from mika.errors import FAILED, OK, MikaError
from mika.machine.local import in_thread
from mika.reason import Reason

_LISTED = 50
_COLORS = {"done": GOOD, "skipped": WAITING, "failed": BAD}


def act(
    context: Context,
    verb: str,
    plan: Callable[[Examination], Awaitable[Sequence[Step]]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what is planned, ask, do it, and tell the outcome of each run. Exits with 1 if one failed.

    Raises MikaError if the only run that is asked for cannot be done.
    """

    def told(outcome: Outcome) -> None:
        if not as_json:
            state = paint(outcome.step.id, _COLORS[outcome.state])
            _say(f"{state}: ", outcome.reason)

    async def main(exam: Examination) -> list[Outcome]:
        steps = await plan(exam)
        if len(steps) == 1 and steps[0].act is None and not steps[0].needless:
            reason = steps[0].why_not
            raise MikaError(f"{steps[0].id}: {reason.text}", reason.fix, code=f"cannot_{verb}")
        if not yes and any(step.act for step in steps):
            await in_thread(lambda: _ask(verb, steps, as_json=as_json))  # the loop would keep Ctrl-C from the question
        return await carry_out(steps, told)

    outcomes = ask(context, main)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if as_json:
        runs = [outcome.as_json() for outcome in outcomes]
        print_json({"version": 1, "done": verb, "ok": not failed, "workflows": runs})
    elif len(outcomes) != 1:
        done = sum(outcome.state == "done" for outcome in outcomes)
        skipped = len(outcomes) - done - failed
        parts = [f"{done} done", f"{skipped} skipped" if skipped else "", f"{failed} failed" if failed else ""]
        click.echo(f"{verb}: {', '.join(filter(None, parts))}" if outcomes else "there are none")
    sys.exit(FAILED if failed else OK)


def _ask(verb: str, steps: Sequence[Step], *, as_json: bool) -> None:
    """Raises as `confirm`."""
    for step in steps[:_LISTED]:
        name = f"{step.id} ({step.info.type.name}): "
        if step.act is None:
            _say(name, step.why_not, err=as_json)
        else:
            click.echo(name + "; ".join(filter(None, (step.does, step.more))), err=as_json)
    if len(steps) > _LISTED:
        click.echo(f"… and {len(steps) - _LISTED} more", err=as_json)
    number = sum(step.act is not None for step in steps)
    confirm(f"{verb.capitalize()} {'it' if number == 1 else f'these {number} runs'}?")


def _say(name: str, reason: Reason, *, err: bool = False) -> None:
    click.echo(name + pasteable(reason.text) + (f": {pasteable(reason.fix)}" if reason.fix else ""), err=err)
