"""`mika doctor`: the checklist, or the story of one workflow."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import click

from mika.cli.context import Context, is_yes, json_option, print_json
from mika.cli.kinds import Number
from mika.cli.language import shown
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.screen.story import render_story
from mika.cli.screen.width import below, pad
from mika.cli.spelling import say
from mika.config.load import Config
from mika.doctor import run
from mika.doctor.check import Check, Report
from mika.doctor.examination import Examination
from mika.doctor.repair import repair_all
from mika.doctor.workflows.story import Story, investigate
from mika.errors import FAILED, OK, MikaError, UsageError
from mika.project.folder import ProjectDir
from mika.reason import Reason, Repair
from mika.stack.background import own_command
from mika.text import existing_folder
from mika.wording import _, listed

_EVERY = 2.0
_COLUMN = 18  # of the findings
_MARKS = {"ok": (_("ok"), GOOD), "warn": (_("warn"), WAITING), "fail": (_("FAIL"), BAD), "skip": ("-", None)}


@click.command("doctor")
@click.option(
    "--workflow",
    metavar="[ID]",
    is_flag=False,
    flag_value="last",
    help="Explain one workflow: its id, or a part of it; without one the last.",
)
@click.option("--payloads", is_flag=True, help="With --workflow: also show what the messages say.")
@click.option("--llm", is_flag=True, help="Also make one cheap call to the language model.")
@click.option("--watch", is_flag=True, help="Check again every 2 s until Ctrl-C.")
@click.option("--fix", is_flag=True, help="Fix what can be fixed safely; ask before anything else.")
@click.option(
    "--timeout",
    metavar="S",
    default=run.TIMEOUT,
    show_default=True,
    type=Number(0, 600, min_open=True),
    help="Seconds for all checks together.",
)
@json_option
@click.pass_obj
def doctor_command(
    context: Context,
    workflow: str | None,
    payloads: bool,
    llm: bool,
    watch: bool,
    fix: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check everything that a message needs, at once: each failure with its cause and the command that fixes it.

    Exit code 1 when a check fails, or when the workflow is in trouble.
    """
    if payloads and workflow is None:
        raise UsageError(_("--payloads shows the messages of one workflow"), _("give it with --workflow ID"))
    while True:
        result: Story | Report
        if workflow is not None:
            result = asyncio.run(_story(context.load_started(), workflow, payloads=payloads))
        else:
            result = _report(context, timeout, llm=llm, fix=fix)
        if as_json:
            print_json(result.as_json())
        else:
            text = render(result) if isinstance(result, Report) else render_story(result, context.project)
            if watch:
                click.clear()
            say(text)
        if not watch:
            sys.exit(OK if result.ok else FAILED)
        time.sleep(_EVERY)


def _report(context: Context, timeout: float, *, llm: bool, fix: bool) -> Report:
    folder = ProjectDir(existing_folder(context.project))  # a wrong -C is not a finding, but an error
    try:
        config = context.load_started()
    except UsageError as error:
        return run.broken_configuration(error)
    report = asyncio.run(run.examine(config, folder, timeout=timeout, llm=llm))
    is_changed = fix and repair_all(
        config, folder, report, agrees=_agrees, start_stack=lambda: _start_stack(config), say=_say
    )
    return asyncio.run(run.examine(config, folder, timeout=timeout, llm=llm)) if is_changed else report


def render(report: Report) -> str:
    """One line for each check, and below a failure how to fix it. While nothing runs, only what is in the way."""
    checks = _merged(report.in_the_way if report.is_down else report.checks)
    lines = [shown(_("no stack is running here: `mika up`"))] if report.is_down else []
    for check in checks:
        text, colour = _MARKS[check.status]
        because = shown(_(" (because of {check})", check=check.because)) if check.because else ""
        mark = paint(pad(shown(text), 4), colour)
        lines.append(f"{mark}  {check.id:<10}  {below(shown(check.finding), _COLUMN)}{because}")
        if check.fix and check.status in ("warn", "fail"):
            label = click.style(shown(_("fix:")), bold=True)
            lines.append(f"{' ' * _COLUMN}{below(shown(_('{label} {text}', label=label, text=check.fix)), _COLUMN)}")
    failed, warned = ([check.id for check in checks if check.status == status] for status in ("fail", "warn"))
    if failed:
        lines += ["", shown(_("{count} to fix, first: {check}", count=len(failed), check=failed[0]))]
    elif warned and report.ok:  # a stack that is down has been said, and is a failure
        lines += ["", shown(_("no failure was found; look at: {checks}", checks=listed(warned)))]
    elif not report.is_down:
        lines += ["", shown(_("nothing to fix"))]
    return "\n".join(lines)


def _merged(checks: Sequence[Check]) -> list[Check]:
    """With one line for all that could not be checked for the same reason."""
    alike: dict[Reason, list[Check]] = {}
    for check in checks:
        if check.unknown:
            alike.setdefault(check.reason, []).append(check)
    merged = []
    for check in checks:
        first, *others = alike[check.reason] if check.unknown else [check]
        if check is first and others:
            text = _("{text} (the same: {checks})", text=check.reason.text, checks=listed(each.id for each in others))
            merged.append(replace(check, reason=replace(check.reason, text=text)))
        elif check is first:
            merged.append(check)
    return merged


def _say(text: str) -> None:
    say(text, err=True)  # not to standard output, which --json needs for itself


def _agrees(check: Check, repair: Repair) -> bool:
    """A script that answers nothing means no."""
    try:
        return is_yes(check.finding + "\n" + _("{repair}?", repair=repair))
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        _say(_("(no answer: left as it is)"))
        return False


def _start_stack(config: Config) -> None:
    command = own_command(["-C", str(config.project), "up", "-d"])
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise MikaError(_("`mika up -d` failed"), _("it says above why"))


async def _story(config: Config, wanted: str, *, payloads: bool) -> Story:
    async with Examination(config, ProjectDir(config.project)) as exam:
        return await investigate(exam, wanted, payloads=payloads, with_log=True)
