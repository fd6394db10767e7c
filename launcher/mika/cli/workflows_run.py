"""What the commands of `mika workflows` share: the list, the question, the outcome of each run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

from mika.cli.asking import ask
from mika.cli.context import Context, confirm, print_json
from mika.cli.language import echo
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.spelling import say
from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import Outcome, Step, carry_out
from mika.errors import FAILED, OK, MikaError
from mika.machine.local import in_thread
from mika.wording import Text, _

_LISTED = 50
_COLORS = {"done": GOOD, "skipped": WAITING, "failed": BAD}
_VERBS = {"cancel": _("Cancel"), "terminate": _("Terminate"), "retry": _("Retry"), "reset": _("Reset")}
"""Of which `_ask` asks."""


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
            say(_("{name}: {text}", name=state, text=outcome.reason))

    async def main(exam: Examination) -> list[Outcome]:
        steps = await plan(exam)
        if len(steps) == 1 and steps[0].act is None and not steps[0].needless:
            reason = steps[0].why_not
            raise MikaError(_("{name}: {text}", name=steps[0].id, text=reason.text), reason.fix, code=f"cannot_{verb}")
        if not yes and any(step.act for step in steps):
            await in_thread(lambda: _ask(verb, steps, as_json=as_json))  # the loop would keep Ctrl-C from the question
        return await carry_out(steps, told)

    outcomes = ask(context, main)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if as_json:
        runs = [outcome.as_json() for outcome in outcomes]
        print_json({"version": 1, "done": verb, "ok": not failed, "workflows": runs})
    elif len(outcomes) != 1:
        echo(_summary(verb, outcomes) if outcomes else _("there are none"))
    sys.exit(FAILED if failed else OK)


def _summary(verb: str, outcomes: Sequence[Outcome]) -> Text:
    done, skipped, failed = (
        sum(outcome.state == state for outcome in outcomes) for state in ("done", "skipped", "failed")
    )
    text = _("{command}: {count} done", command=verb, count=done)
    if skipped:
        text += _(", {count} skipped", count=skipped)
    if failed:
        text += _(", {count} failed", count=failed)
    return text


def _ask(verb: str, steps: Sequence[Step], *, as_json: bool) -> None:
    """Raises as `confirm`."""
    for step in steps[:_LISTED]:
        what: object = step.does or step.more
        if step.act is None:
            what = step.why_not
        elif step.does and step.more:
            what = _("{does}; {more}", does=step.does, more=step.more)
        say(_("{workflow} ({type}): {what}", workflow=step.id, type=step.info.type.name, what=what), err=as_json)
    if len(steps) > _LISTED:
        echo(_("… and {count} more", count=len(steps) - _LISTED), err=as_json)
    number = sum(step.act is not None for step in steps)
    if number == 1:
        confirm(_("{verb} it?", verb=_VERBS[verb]))
    else:
        confirm(_("{verb} these {number} runs?", verb=_VERBS[verb], number=number))
