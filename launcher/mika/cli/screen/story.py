"""The story of one workflow: its timeline, with what the processes have logged about it, then what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from mika.cli.context import use_color
from mika.cli.screen.colours import BAD, GOOD, paint
from mika.cli.screen.pretty import Pretty
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import seconds
from mika.doctor.workflows.own_lines import OwnLine
from mika.doctor.workflows.story import Story


def render_story(story: Story, project: Path) -> str:
    """`project` is its folder: in tracebacks, its own code is marked."""
    diagnosis = story.diagnosis
    age = f", started {seconds(story.age)} ago" if story.age is not None else ""
    lines = [f"{click.style(story.id, bold=True)}  {story.status}{age}"]
    lines += [text for _, text in sorted(_timeline(story, project), key=lambda row: row[0])]
    if not story.log.is_complete:
        lines.append(f"  the logs are long and not read to their end: {_all_lines(story)}")
    colour = GOOD if story.ok else BAD
    lines += ["", f"{paint(str(diagnosis.cause), colour)}: {diagnosis.finding}"]
    lines += [f"  evidence: {line}" for line in diagnosis.evidence]
    if diagnosis.fix:
        lines.append(f"  {click.style('fix:', bold=True)} {diagnosis.fix}")
    if story.ui:
        lines.append(f"  UI: {story.ui}")
    return "\n".join(lines)


def _timeline(story: Story, project: Path) -> Iterator[tuple[float, str]]:
    """(when, row)."""
    yield from ((entry.after, _row(entry.after, entry.text)) for entry in story.timeline)
    log = story.log
    names = sorted({line.process for line in (*log.first, *log.last)})
    pretty = Pretty(names, project, color=use_color())

    def rows(line: OwnLine) -> tuple[float, str]:
        prefix = pretty.name(line.process)
        head, *more = pretty.rows(line.text, story.id)
        shown = [_row(line.after, f"{prefix} | {head}"), *(_row(None, f"{prefix} | {row}") for row in more)]
        return line.after, "\n".join(shown)

    yield from map(rows, log.first)
    if log.left_out:
        yield log.first[-1].after, _row(None, f"… {log.left_out} lines of the logs left out: {_all_lines(story)} …")
    yield from map(rows, log.last)


def _row(after: float | None, text: str) -> str:
    clock = " " * 11 if after is None else f"{max(0.0, after):9.2f} s"
    return f"{clock}  {text}".rstrip()


def _all_lines(story: Story) -> str:
    return f"{for_workflow('logs --workflow', story.id)} shows all"
