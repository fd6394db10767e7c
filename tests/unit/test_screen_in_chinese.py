"""What a terminal shows of a running stack to a user who reads Chinese, whose characters are two columns wide."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from mika import events
from mika.cli import down, language
from mika.cli.screen import statusline, table
from mika.cli.screen.progress import stopped
from mika.cli.screen.states import status, word
from mika.cli.screen.top.render import render
from mika.cli.screen.view import describe
from mika.cli.screen.width import width
from mika.doctor.units import reason_of
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.stack.down import TakenDown
from mika.status import Phase
from mika.supervisor.belongings import Found
from mika.supervisor.exits import describe as describe_code
from mika.supervisor.guard import StartFailedError
from mika.text import plain
from mika.wording import _

from tests.unit.test_statusline import stack, unit
from tests.unit.test_top_screen import ALL, API, CLOCK, STACK, WORKER

LEFT = Reason(_("its first process exited (code 0) and left {count} more running, which were stopped", count=2))
GAVE_UP = replace(API, name="jobs", phase=Phase.GAVE_UP, reason=LEFT)


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIKA_LANG", "zh_CN")


@pytest.mark.parametrize("columns", range(1, 82, 5))
def test_the_status_line_fits(columns: int) -> None:
    bar = statusline.bar_of(stack(unit("api"), unit("worker", Phase.BACKOFF, 3), unit("temporal", restarts=1)))
    line = statusline.render(replace(bar, workflows=statusline.workflow_words(3, 1)), columns)
    assert width(line) <= columns
    assert columns < 20 or line.endswith(" | ? 帮助")


def test_the_status_line() -> None:
    bar = statusline.bar_of(stack(unit("api"), unit("worker", Phase.BACKOFF, 3), unit("temporal", restarts=1)))
    assert statusline.render(bar, 79) == "worker 重启中（3）  api 就绪  temporal 就绪（重启 1 次） | ? 帮助"
    bar = statusline.bar_of(stack(unit("api", Phase.STOPPED), unit("worker", Phase.STOPPING), state="stopping"))
    assert statusline.render(bar, 79) == "停止中：等待 worker | ? 帮助"


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_top_fits_and_its_columns_stand_below_each_other(columns: int) -> None:
    overview = replace(ALL, stack=replace(ALL.stack, value=replace(STACK, processes=(API, WORKER, GAVE_UP))))
    lines = [plain(line) for line in render(overview, columns, 24, CLOCK)]
    assert max(map(width, lines)) <= columns
    titles = next(line for line in lines if line.startswith("名称"))
    at = width(titles[: titles.index("状态")])
    rows = [line for line in lines if line.startswith(("api ", "worker ", "jobs "))]
    states = [next(row.index(state) for state in ("就绪", "已放弃") if state in row) for row in rows]
    assert {width(row[:state]) for row, state in zip(rows, states, strict=True)} == {at}


def test_the_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: shutil.os.terminal_size((50, 24)))  # type: ignore[attr-defined]
    lines = plain(table.render(replace(STACK, processes=(API, GAVE_UP), services=()))).splitlines()
    assert lines[2:] == [
        "名称  状态    地址            已运行  重启",
        "api   就绪    127.0.0.1:8000",
        "jobs  已放弃  127.0.0.1:8000",
        "    它的第一个进程已退出（退出码 0），留下的 2 个",
        "    进程已被停止",
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.Started(name="a", pid=3, generation=1), "已启动（pid 3）"),
        (events.Waiting(name="a", needs=(_("{name} to be completed", name="migrate"),)), "等待 migrate 完成"),
        (events.Exited(name="a", pid=3, code=0, reason=Reason(describe_code(0)), expected=True), "已退出（退出码 0）"),
        (events.BackingOff(name="a", delay=1.24, failures=3), "1.2 秒后再次启动（第 3 次失败）"),
        (events.Stopping(name="a"), "停止中"),
    ],
)
def test_an_event_as_a_line(event: events.Event, expected: str) -> None:
    assert plain(describe(event, starting=True)) == expected


def test_the_last_lines_of_what_could_not_be_started() -> None:
    refused = StartFailedError("web", _("{program}: no such program", program="gone"), code="not_found")
    event = events.GaveUp(name="web", reason=refused.reason, last_lines=(refused.message,))
    assert plain(describe(event, starting=True)).splitlines() == [
        "已放弃：web：gone：没有这个程序：安装它，或改正 Procfile 中的命令",
        "    web：gone：没有这个程序",
    ]


def test_what_a_killed_run_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process = psutil.Process()
    left = tuple(Found(process, name, is_guard=False) for name in ("api", "worker"))
    down._show(TakenDown(was_running=False, swept=left), ProjectDir(tmp_path), (), 0.0, volumes=False)
    assert f"api（pid {process.pid}）、worker（pid {process.pid}）" in capfd.readouterr().out


def test_the_phase_of_a_server_that_is_not_ours() -> None:
    away = replace(API, kind="external", phase=Phase.STOPPED, reason=Reason(_("stopped")))
    assert "已停止：已停止" in language.shown(reason_of(away).text)


def test_words() -> None:
    assert stopped(["web"], 1.04, data_stays=True) == "已停止 web，用时 1.0 秒；数据保留在 .mika/data"
    assert (word("gave_up"), status("timed_out"), word("of_another_version")) == (
        "已放弃",
        "超时",
        "of another version",
    )
