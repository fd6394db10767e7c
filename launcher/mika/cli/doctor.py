"""`mika doctor`: the checklist, or the story of one workflow."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import click

from mika.cli.context import Context, json_option, print_json
from mika.config.load import Config
from mika.config.settings import parse_number
from mika.diagnosis.model import FINE, seconds
from mika.doctor import repair, run
from mika.doctor.check import Check, Report
from mika.doctor.examination import Examination
from mika.doctor.workflows import Story, investigate
from mika.errors import FAILED, OK, MikaError, UsageError
from mika.project.folder import ProjectDir
from mika.reason import Repair
from mika.stack.background import own_command
from mika.supervisor.sweep import sweep_if_idle

_EVERY = 2.0
_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red"), "skip": ("-", None)}


@click.command("doctor")
@click.option("--workflow", metavar="ID", help="Explain one workflow: its id, the beginning of it, or `last`.")
@click.option("--payloads", is_flag=True, help="With --workflow: also show what the messages say.")
@click.option("--llm", is_flag=True, help="Also make one cheap call to the language model.")
@click.option("--watch", is_flag=True, help="Check again every 2 s until Ctrl-C.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely; ask before anything else.")
@click.option("--timeout", metavar="S", help="Seconds for all checks together (default 5).")
@json_option
@click.pass_obj
def doctor_command(
    context: Context,
    workflow: str | None,
    payloads: bool,
    llm: bool,
    watch: bool,
    fix: bool,
    timeout: str | None,
    as_json: bool,
) -> None:
    """Check everything that a message needs, at once: each failure with its cause and the command that mends it.

    Exit code 1 when a check fails, or when the workflow is in trouble.
    """
    limit = _limit(timeout)
    if payloads and workflow is None:
        raise UsageError("--payloads shows the messages of one workflow", "give it with --workflow ID")
    while True:
        if workflow is not None:
            code = _workflow(context, workflow, payloads=payloads, as_json=as_json, clear=watch)
        else:
            code = _checklist(context, limit, llm=llm, fix=fix, as_json=as_json, clear=watch)
        if not watch:
            sys.exit(code)
        time.sleep(_EVERY)


def _limit(text: str | None) -> float:
    if text is None:
        return run.TIMEOUT
    try:
        number = parse_number(text.strip())
    except ValueError:
        number = 0.0
    if not 0 < number <= 600:
        raise UsageError(f"--timeout is {text!r}; give a number of seconds, above 0 and at most 600")
    return number


def _config(context: Context) -> tuple[Config, ProjectDir]:
    config = context.load_started()
    return config, ProjectDir(config.project)


# --- the checklist ----------------------------------------------------------------------------------------------------


def _checklist(context: Context, limit: float, *, llm: bool, fix: bool, as_json: bool, clear: bool) -> int:
    if not context.project.is_dir():
        context.load()  # raises with what is wrong with -C
    try:
        config, folder = _config(context)
    except UsageError as error:
        report = run.broken_configuration(error)
    else:
        report = asyncio.run(run.examine(config, folder, timeout=limit, llm=llm))
        if fix and _mend(config, folder, report):
            report = asyncio.run(run.examine(config, folder, timeout=limit, llm=llm))
    if clear and not as_json:
        click.clear()
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(render(report))
    return OK if report.ok else FAILED


def render(report: Report) -> str:
    """One line a check, and below a failure what mends it."""
    lines = []
    for check in report.checks:
        text, colour = _MARKS[check.status]
        mark = click.style(text.ljust(4), fg=colour)
        lines.append(f"{mark}  {check.id:<10}  {_finding(check)}")
        if check.fix and check.status in ("warn", "fail"):
            lines.append(f"{'':<18}{click.style('fix:', bold=True)} {check.fix}")
    failed = [check.id for check in report.checks if check.status == "fail"]
    warned = [check.id for check in report.checks if check.status == "warn"]
    if failed:
        lines.append(f"\n{len(failed)} to mend, first: {failed[0]}")
    else:
        lines.append("\nnothing to mend" + (f"; look at: {', '.join(warned)}" if warned else ""))
    return "\n".join(lines)


def _finding(check: Check) -> str:
    return f"{check.finding} (because of {check.because})" if check.because else check.finding


def _mend(config: Config, folder: ProjectDir, report: Report) -> bool:
    """Whether anything was done. What it says goes to standard error, where it does not disturb --json."""
    done = False
    for check in report.checks:
        wanted = check.repair
        if wanted is None:
            continue
        if not wanted.is_safe and not _agreed(f"{check.finding}\n{wanted}?"):
            continue
        try:
            if wanted.action == "sweep":
                swept = sweep_if_idle(folder)
                folder.clear_state()
                ended = f": {', '.join(map(str, swept))}" if swept else ""
                told = f"cleared what a killed run left{ended}"
            elif wanted.action == "up":
                told = _up(config)
            else:
                told = asyncio.run(_perform(config, folder, wanted))
        except MikaError as error:
            click.echo(f"{check.id}: {error.message}{f' ({error.hint})' if error.hint else ''}", err=True)
            continue
        done = True
        click.echo(f"{check.id}: {told}", err=True)
    return done


def _agreed(question: str) -> bool:
    """A script that answers nothing means no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        click.echo("(no answer: left as it is)", err=True)
        return False


async def _perform(config: Config, folder: ProjectDir, wanted: Repair) -> str:
    x = Examination(config, folder)
    try:
        return await repair.perform(x, wanted)
    finally:
        await x.close()


def _up(config: Config) -> str:
    command = own_command(["-C", str(config.project), "up", "-d"])
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise MikaError("`mika up -d` failed", "it says above why")
    return "started the stack"


# --- one workflow -----------------------------------------------------------------------------------------------------


def _workflow(context: Context, wanted: str, *, payloads: bool, as_json: bool, clear: bool) -> int:
    config, folder = _config(context)

    async def find() -> Story:
        x = Examination(config, folder)
        try:
            return await investigate(x, wanted, payloads=payloads)
        finally:
            await x.close()

    story = asyncio.run(find())
    if clear and not as_json:
        click.clear()
    if as_json:
        print_json(story.as_dict())
    else:
        click.echo(render_story(story))
    return OK if story.diagnosis.cause in FINE else FAILED


def render_story(story: Story) -> str:
    """The timeline, then what it means."""
    found = story.diagnosis
    age = f", started {seconds(story.age)} ago" if story.age is not None else ""
    lines = [f"{click.style(story.id, bold=True)}  {story.status}{age}"]
    lines += [f"{entry.after:9.2f} s  {entry.text}" for entry in story.timeline]
    colour = "green" if found.cause in FINE else "red"
    lines += ["", f"{click.style(str(found.cause), fg=colour)}: {found.finding}"]
    lines += [f"  evidence: {line}" for line in found.evidence]
    if found.fix:
        lines.append(f"  {click.style('fix:', bold=True)} {found.fix}")
    if story.ui:
        lines.append(f"  UI: {story.ui}")
    return "\n".join(lines)
