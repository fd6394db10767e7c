"""A short run of `python -m tests.chaos.langbot`, and what its judgement would find."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.langbot import TARGETS, Message, Report, run


@pytest.mark.timeout(300)
def test_no_reply_is_lost_or_doubled_while_everything_is_killed(tmp_path):
    report = run(tmp_path, kills=4, seed=32)  # a seed that hits each of them
    print(report)
    assert set(report.kills) == set(TARGETS)
    assert report.bad == []
    # The slower the machine, the more of the kills hit a message that is being sent, of which nobody knows.
    assert sum(message.outcome == "sent" for message in report.messages) >= 2


@pytest.mark.parametrize(
    ("taken", "outcome", "times", "is_good"),
    [
        (True, "sent", 1, True),
        (True, "sent", 0, False),
        (True, "sent", 2, False),
        (True, "maybe_sent", 0, True),
        (True, "maybe_sent", 2, False),
        (True, "refused", 1, False),
        (True, "failed", 0, False),
        (False, "", 0, True),
        (False, "", 1, False),
        (None, "", 1, True),
        (None, "", 2, False),
    ],
)
def test_the_judgement(taken, outcome, times, is_good):
    report = Report(0, messages=[Message("m", taken, outcome)], chat=Counter({"I understood: m": times}))
    report.judge()
    assert (report.bad == []) == is_good
