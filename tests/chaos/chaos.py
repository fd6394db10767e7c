"""A stream of messages, a killer, and the books: what was accepted must be stored exactly once.

A sender does what LangBot's users do: it posts a message with a `message_id`, and posts it again until it is answered.
At the end the history file and Temporal's own history must hold each accepted message exactly once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mika.errors import MikaError
from temporalio.client import WorkflowExecutionStatus

from tests.chaos.books import read_books
from tests.chaos.commands import Commands
from tests.chaos.killer import Killer
from tests.chaos.options import RECOVERY, Options
from tests.chaos.report import Report, judge
from tests.chaos.shortages import small_disk
from tests.chaos.stream import Stream
from tests.kit.bot import Bot
from tests.kit.clock import Clock
from tests.kit.project import Project

# As in the repository's pyproject.toml, which a folder of its own does not have.
TOML = "[process.api]\nearly = true\n\n[process.worker]\nearly = true\ngrace = 15\n"


def run(folder: Path, options: Options, say: Callable[[str], None] = lambda text: None) -> Report:
    """Raises AssertionError when something that was killed does not come back, or anything is left at the end."""
    env = {} if options.task_timeout is None else {"WORKFLOW_TASK_TIMEOUT": f"{options.task_timeout:g}"}
    clock = Clock(folder) if "clock" in options.faults else None
    bot = Bot(folder, toml=TOML, env=env | (clock.env if clock else {}))
    with contextlib.ExitStack() as stack:
        if "disk" in options.faults and (why := stack.enter_context(small_disk(bot.folder / ".mika"))):
            say(f"no full disk: {why}")
            options = replace(options, faults=tuple(fault for fault in options.faults if fault != "disk"))
        stack.enter_context(bot)
        bot.up()
        began = time.monotonic()
        stream = Stream(bot.url, options)
        commands = Commands(bot)
        killer = Killer(bot, options, commands, clock, say)
        try:
            with commands.asked_meanwhile(options.pause):
                killer.run()
        finally:
            _finish(stream, bot)
        seconds = time.monotonic() - began
        say("the last messages are through; reading the books")
        bot.wait_ready(RECOVERY)
        books = read_books(bot)
        failed = sum(len(found) - found.count(WorkflowExecutionStatus.COMPLETED) for found in books.runs.values())
        report = Report(
            options, seconds, stream.messages, killer.kills, killer.gave_up, killer.failed_ups, failed, commands.seconds
        )
        report.left += _left(bot, commands)
        report.other += commands.complaints
        judge(report, books)
        if not report.good:
            say(bot.log_tail(40))
    return report


def _left(bot: Bot, commands: Commands) -> list[str]:
    """What still runs after `mika down`."""
    result = commands.run("down")
    with contextlib.suppress(AssertionError):
        bot.assert_gone()
    left = [f"left: {process}" for process in bot.alive()]
    return left if result.code == 0 else [*left, str(result)]


def _finish(stream: Stream, bot: Project) -> None:
    """Senders retry until they are answered, so a stack that is down must not keep them for minutes."""
    with contextlib.suppress(MikaError, AssertionError):
        bot.wait_ready(RECOVERY)
    stream.finish()
