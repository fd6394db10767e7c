"""A short run of `python -m tests.chaos`, and what its books would find."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.chaos.books import Books
from tests.chaos.chaos import run
from tests.chaos.killer import UNITS
from tests.chaos.options import Options
from tests.chaos.report import Report, judge
from tests.chaos.stream import Message
from tests.kit.machine import posix_only, takes_long


@takes_long
@posix_only
@pytest.mark.timeout(600)
def test_no_message_is_lost_or_doubled_while_everything_is_killed(tmp_path):
    # This seed hits the API, the server, the supervisor, the worker and its replacement while it starts. A workflow
    # task that a killed worker had just taken is given to the next one after its timeout: 5 s instead of 30, so that
    # the test need not wait so long.
    report = run(tmp_path, Options(kills=5, seed=3396, senders=2, task_timeout=5, pause=4))
    print(report)
    assert {*UNITS, "supervisor"} <= {kill.target for kill in report.kills}
    assert len(report.messages) > report.options.senders
    assert report.good, str(report)


@takes_long
@pytest.mark.parametrize(
    ("turns", "completed", "saves", "replies", "finding"),
    [
        (1, 1, 1, {"r message m."}, ""),
        (0, 1, 0, {"r message m."}, "lost"),
        (1, 0, 1, set(), "lost"),
        (2, 1, 1, {"r message m."}, "doubled"),
        (1, 2, 1, {"r message m."}, "doubled"),
        (1, 1, 2, {"r message m."}, "doubled"),
        (1, 1, 1, {"r message m.", "other"}, "doubled"),
        (1, 1, 1, {"other"}, "another reply"),
        (1, 1, 1, set(), "never answered"),
    ],
)
def test_the_books_find_it(turns, completed, saves, replies, finding):
    message = Message("m", 0.0, answered=1.0 if replies else None, workflow_ids={"w"}, replies=replies)
    runs = defaultdict(list, {"w": [WorkflowExecutionStatus.COMPLETED] * completed})
    books = Books({message.text: [("w", "r message m.")] * turns}, runs, Counter(w=saves))
    report = Report(Options(0, 0), 0.0, [message], [], 0, 0, 0)
    judge(report, books)
    assert report.good == (not finding)
    assert finding in str(report)
    assert f"lost {int(finding == 'lost')}, doubled {int(finding == 'doubled')}" in str(report)
