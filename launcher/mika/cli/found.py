"""What `init` and `up` share: look at a project without a Procfile, show what was found, ask what cannot be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from mika.cli.screen.proposal import render
from mika.config.load import Config
from mika.detect import written
from mika.detect.proposal import Proposal
from mika.errors import UsageError
from mika.procfile.entries import EXAMPLE


def look(config: Config, answers: Mapping[str, str]) -> Proposal:
    """Raises UsageError if there is nothing that could be run."""
    proposal = written.proposed(config, answers)
    if not proposal.processes:
        notes = "".join(f" ({note})" for note in proposal.notes[:1])
        raise UsageError(
            f"Procfile: not found in {config.project}, nor a web app in Python or a worker of Temporal{notes};"
            " write one with a line for each process, or give its folder with -C",
            hint=f"For example:\n{EXAMPLE}",
        )
    return proposal


def settle(config: Config, given: Sequence[str], *, may_ask: bool) -> tuple[Proposal, list[str]]:
    """Show what was found, ask what is open, and return it with all answers (`KEY=TEXT`).

    Raises UsageError with the questions if nobody can be asked.
    """
    answers = dict(answer.partition("=")[::2] for answer in given)
    proposal = look(config, answers)
    click.echo(render(proposal, config), err=True)
    while proposal.questions and may_ask:
        question = proposal.questions[0]
        kind = click.Choice(question.choices) if question.choices else None
        answers[question.key] = click.prompt(f"\n{question.text}\n", type=kind, err=True, prompt_suffix="> ")
        proposal = look(config, answers)
        if not proposal.questions:
            click.echo(f"\n{render(proposal, config)}", err=True)
    if proposal.questions:
        raise unanswered(proposal)
    return proposal, [f"{key}={answer}" for key, answer in answers.items()]


def unanswered(proposal: Proposal) -> UsageError:
    """The questions, and the lines that would answer them."""
    questions = "; ".join(question.text for question in proposal.questions)
    texts = {"Procfile": written.procfile(proposal), "mika.toml": written.mika_toml(proposal)}
    lines = [
        f"{name}:\n" + "\n".join(f"  {line}" for line in text.splitlines() if line and line[0] != "#")
        for name, text in texts.items()
    ]
    advice = (
        "`mika init` on a terminal asks. Or write these files, without what is not to run, and with the real queue:"
    )
    return UsageError(
        f"Procfile: not found, and it is not clear: {questions}", "\n".join([advice, *lines]), code="questions"
    )
