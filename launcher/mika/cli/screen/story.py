"""The story of one workflow: its timeline, with what the processes have logged about it, then what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from mika.cli.context import use_color
from mika.cli.language import shown
from mika.cli.screen.colours import BAD, GOOD, paint
from mika.cli.screen.pretty import Pretty
from mika.cli.screen.states import status
from mika.cli.screen.width import below, width
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import seconds
from mika.doctor.workflows.own_lines import OwnLine
from mika.doctor.workflows.story import Story
from mika.wording import _


def render_story(story: Story, project: Path) -> str:
    """`project` is its folder: in tracebacks, its own code is marked."""
    diagnosis = story.diagnosis
    state = status(story.status)
    if story.age is not None:
        state = shown(_("{state}, started {time} ago", state=state, time=seconds(story.age)))
    lines = [below(f"{click.style(story.id, bold=True)}  {state}", 2)]
    lines += [text for _after, text in sorted(_timeline(story, project), key=lambda row: row[0])]
    if not story.log.is_complete:
        incomplete = _("the logs are long and not read to their end: {more}", more=_all_lines(story))
        lines.append(f"  {shown(incomplete)}")
    cause = paint(str(diagnosis.cause), GOOD if story.ok else BAD)
    lines += ["", below(shown(_("{context}: {text}", context=cause, text=diagnosis.finding)), 2)]
    lines += [f"  {below(shown(_('evidence: {text}', text=line)), 4)}" for line in diagnosis.evidence]
    if diagnosis.fix:
        label = click.style(shown(_("fix:")), bold=True)
        lines.append(f"  {below(shown(_('{label} {text}', label=label, text=diagnosis.fix)), 4)}")
    if story.ui:
        lines.append(f"  {shown(_('UI: {url}', url=story.ui))}")
    return "\n".join(lines)


def _timeline(story: Story, project: Path) -> Iterator[tuple[float, str]]:
    """(when, row)."""
    yield from ((entry.after, _row(entry.after, shown(entry.text))) for entry in story.timeline)
    log = story.log
    names = sorted({line.process for line in (*log.first, *log.last)})
    pretty = Pretty(names, project, color=use_color())

    def rows(line: OwnLine) -> tuple[float, str]:
        prefix = pretty.name(line.process)
        head, *more = pretty.rows(line.text, story.id)
        all_rows = [_row(line.after, f"{prefix} | {head}"), *(_row(None, f"{prefix} | {row}") for row in more)]
        return line.after, "\n".join(all_rows)

    yield from map(rows, log.first)
    if log.left_out:
        gap = _("… {count} lines of the logs left out: {more} …", count=log.left_out, more=_all_lines(story))
        yield log.first[-1].after, _row(None, shown(gap))
    yield from map(rows, log.last)


def _row(after: float | None, text: str) -> str:
    clock = shown(_("{value:9.2f} s", value=max(0.0, after or 0.0)))
    return f"{' ' * width(clock) if after is None else clock}  {below(text, width(clock) + 2)}".rstrip()


def _all_lines(story: Story) -> str:
    return _("{command} shows all", command=for_workflow("logs --workflow", story.id))
