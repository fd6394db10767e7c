"""How many workflows are open and how many have failed, for the status line of `mika up`."""

from __future__ import annotations

from mika.config import load as config
from mika.stack.counts import WorkflowCounts

from tests.kit.machine import DEADLINE, poll_until


def test_what_is_open_and_what_has_failed(bot, monkeypatch):
    monkeypatch.setattr("mika.stack.counts._INTERVAL", 0.0)
    with WorkflowCounts(lambda: config.load(bot.folder, environ=bot.environ())) as counts:
        running, failed = counts.look()
        bot.ok("run", "OfNobody", "--queue", "nowhere", "--id", "counted")
        poll_until(lambda: counts.look() == (running + 1, failed), DEADLINE, "an open one")
        bot.ok("workflows", "terminate", "counted", "--yes")
        poll_until(lambda: counts.look() == (running, failed), DEADLINE, "none more")


def test_a_server_that_is_not_there_has_no_numbers(tmp_path):
    with WorkflowCounts(lambda: config.load(tmp_path, environ={"TEMPORAL_PORT": "1"})) as counts:
        assert counts.look() is None
