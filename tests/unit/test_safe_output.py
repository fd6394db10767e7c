"""What others wrote reaches the terminal as text: no command shows it by another way than `echo`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from mika.cli import send
from mika.cli.doctor import render
from mika.cli.language import echo
from mika.cli.screen.colours import GOOD, paint
from mika.cli.screen.story import render_story
from mika.cli.workflows import render as render_rows
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.timeline import Entry
from mika.doctor.check import Check, Report
from mika.doctor.workflows.listing import Row
from mika.doctor.workflows.story import Story
from mika.reason import Reason
from mika.stack.send import Reply

from tests.kit.machine import ROOT

EVIL = "hi \x1b]52;c;aGVsbG8=\x07\x1b[2J\x1b]0;T\x07\u202e"
OTHERS = {"language/__init__.py": 1, "context.py": 1, "completion.py": 2, "logs.py": 1}
"""JSON, scripts for a shell, and logs, which have their own way."""


def calls(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("click.echo", "click.secho", "print"):
            yield ast.unparse(node)


def test_all_text_goes_through_one_exit():
    folder = ROOT / "launcher" / "mika" / "cli"
    found = {
        path.relative_to(folder).as_posix(): [*calls(path.read_text(encoding="utf-8"))]
        for path in sorted(folder.rglob("*.py"))
    }
    assert {name: len(each) for name, each in found.items() if each} == OTHERS, found


def test_only_colours_come_through(capfd: pytest.CaptureFixture[str]):
    green = paint("ok", GOOD)
    echo(f"{green}  {EVIL}\n  a tab\tstays", color=True)
    assert capfd.readouterr().out == f"{green}  hi \n  a tab\tstays\n"


def test_a_reply_of_the_model(capfd: pytest.CaptureFixture[str]):
    send._show(Reply(EVIL, "process_message_1"))
    assert capfd.readouterr().out == "hi \n"


def test_no_text_of_others_looks_like_another_line():
    queue = "q\nok    worker      ready"
    check = Check("worker", "fail", Reason(f"nothing polls {queue}", f"start what polls {queue}"))
    assert "\nok" not in render(Report((check,)))
    story = Story(
        f"a\n{queue}", "r", "running", 4.0, None, Diagnosis(Cause.NO_WORKER, queue, (queue,), queue), (Entry(0, queue),)
    )
    assert "\nok" not in render_story(story, Path())
    row = Row(f"a\n{queue}", "T", "q", "running", 4.0, None, Diagnosis(Cause.RUNNING, ""), None, None)
    assert len(render_rows([row]).splitlines()) == 2
