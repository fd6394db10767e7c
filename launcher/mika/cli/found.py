"""What `init` and `up` share: look at a project without a Procfile, show what was found, ask what cannot be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from mika.cli.language import echo, safe, shown
from mika.cli.screen.proposal import render
from mika.config.load import Config
from mika.detect import written
from mika.detect.findings import Proposal, Question
from mika.errors import UsageError
from mika.wording import _, joined, listed


def look(config: Config, answers: Mapping[str, str]) -> Proposal:
    """Raises UsageError if there is nothing that could be run."""
    proposal = written.proposed(config, answers)
    if not proposal.processes:
        notes = joined("", (_(" ({note})", note=note) for note in proposal.notes[:1]))
        raise UsageError(
            _(
                "Procfile: not found in {folder}, nor a web app or a worker of Temporal that mika can run{notes};"
                " write one with a line for each process, or give its folder with -C",
                folder=config.project,
                notes=notes,
            ),
            hint=_("For example:\n{example}", example=proposal.example),
        )
    return proposal


def settle(config: Config, given: Sequence[str], *, may_ask: bool) -> tuple[Proposal, list[str]]:
    """Show what was found, ask what is open, and return it with all answers (`KEY=TEXT`).

    Raises UsageError with the questions if nobody can be asked.
    """
    answers = dict(answer.partition("=")[::2] for answer in given)
    proposal = look(config, answers)
    echo(render(proposal, config), err=True)
    while proposal.questions and may_ask:
        answers[proposal.questions[0].key] = _answer(proposal.questions[0])
        proposal = look(config, answers)
        if not proposal.questions:
            echo("\n" + render(proposal, config), err=True)
    if proposal.questions:
        raise unanswered(proposal)
    return proposal, [f"{key}={answer}" for key, answer in answers.items()]


def _answer(question: Question) -> str:
    """As `click.prompt` asks for one of several, but that speaks English only."""
    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    while True:
        answer: str = click.prompt(safe(f"\n{shown(question.text)}\n{choices}"), err=True, prompt_suffix="> ")
        if not question.choices or answer in question.choices:
            return answer
        known = listed(map(repr, question.choices))
        echo(_("Error: {answer!r} is not one of {choices}.", answer=answer, choices=known), err=True)


def unanswered(proposal: Proposal) -> UsageError:
    """The questions, and the lines that would answer them."""
    questions = joined(_("; "), (question.text for question in proposal.questions))
    texts = {"Procfile": written.procfile(proposal), "mika.toml": written.mika_toml(proposal)}
    lines = [
        f"{name}:\n" + "\n".join(f"  {line}" for line in text.splitlines() if line and line[0] != "#")
        for name, text in texts.items()
    ]
    advice = _(
        "`mika init` on a terminal asks. Or write these files, without what is not to run, and with the real queue:"
    )
    return UsageError(
        _("it is not clear what runs here: {questions}", questions=questions),
        joined("\n", [advice, *lines]),
        code="questions",
    )
