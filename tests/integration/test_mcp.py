"""`mika mcp`: the tools that an agent gets, and a server that survives whatever is written to it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.kit.machine import poll_until, posix_only
from tests.kit.mcp import FIRST, Mcp, official_client
from tests.kit.project import Project

WEB = "import time\nprint('web is here', flush=True)\ntime.sleep(600)\n"
NEVER_A_WORKER = "import time\ntime.sleep(600)\n"  # a check waits for one
READING = ["mika_status", "mika_logs", "mika_doctor", "mika_workflows", "mika_check"]
CONTROL = ["mika_restart", "mika_start", "mika_stop", "mika_send", "mika_reset"]
VERSION = "io.modelcontextprotocol/protocolVersion"


@pytest.fixture
def web(project: Callable[..., Project]) -> Project:
    return project(scripts={"web": WEB})


@pytest.fixture(scope="module")
def _shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Of a user who reads Chinese: an agent does not."""
    with Project(tmp_path_factory.mktemp("up"), scripts={"web": WEB}, env={"MIKA_LANG": "zh_CN"}) as this:
        this.up()
        yield this


@pytest.fixture
def up(_shared_up: Project) -> Project:
    """That stack, ready. It is shared, and a test may stop its process."""
    _shared_up.ok("start", "web")
    return _shared_up


# --- the official client ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "mode", "version"),
    [("1", "", "2025-11-25"), ("2", "legacy", "2025-11-25"), ("2", "auto", "2026-07-28")],
    ids=["1", "2 with a handshake", "2"],
)
def test_the_official_client_gets_the_answers_of_the_commands(up: Project, release: str, mode: str, version: str):
    plan = [
        ("mika_status", {}),
        ("mika_logs", {"names": ["web"], "lines": 1}),
        ("mika_logs", {"names": ["wbe"]}),
        ("mika_stop", {"names": ["web"]}),
    ]
    got = official_client(up, release, mode, plan)
    assert (got["tools"], got["version"], got["server"]) == (READING, version, "mika")
    status, logs, no_log, stop = got["answers"]
    assert status["structured"] == json.loads(status["text"])
    assert [process["state"] for process in status["structured"]["processes"]] == ["ready"]
    assert (logs["text"], logs["is_error"]) == ("web is here\n", False)
    assert no_log["is_error"]
    assert "no log is named 'wbe'" in no_log["text"]
    assert stop["code"] == -32602
    assert up.unit("web")["state"] == "ready"


@pytest.mark.parametrize("release", ["1", "2"])
def test_with_allow_control_the_official_client_restarts_and_stops(up: Project, release: str):
    before = up.pid("web")
    plan = [("mika_restart", {"names": ["web"]}), ("mika_stop", {"names": ["web"]}), ("mika_start", {"names": ["no"]})]
    got = official_client(up, release, "auto", plan, "--allow-control")
    assert got["tools"] == READING + CONTROL
    restarted, stopped, unknown = got["answers"]
    assert restarted["structured"]["processes"][0]["pid"] not in (None, before)
    assert stopped["structured"]["processes"][0]["state"] == "stopped"
    assert unknown["is_error"]
    assert "no" in unknown["text"]


# --- what may be written to it ----------------------------------------------------------------------------------------


def test_what_is_wrong_is_answered_with_its_code(web: Project):
    with Mcp(web) as mcp:
        for line, code in [
            (b"garbage", -32700),
            (b"\xff\xfe", -32700),
            (b"[" * 100_000, -32700),
            (b"", -32700),
            (b"[]", -32600),
            (b'{"id": 1, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', -32602),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "\\ud800"}', -32601),
        ]:
            mcp.write(line)
            assert mcp.answer()["error"]["code"] == code, line[:80]
        for params in [
            {},
            {"name": 1},
            {"name": "mika_nothing"},
            {"name": "mika_logs", "arguments": []},
            {"name": "mika_logs", "arguments": {"lines": 0}},
            {"name": "mika_logs", "arguments": {"lines": True}},
            {"name": "mika_logs", "arguments": {"names": "web"}},
            {"name": "mika_logs", "arguments": {"names": [1]}},
            {"name": "mika_logs", "arguments": {"name": "web"}},
        ]:
            assert mcp.request("tools/call", params)["error"]["code"] == -32602, params
        assert mcp.request("nothing")["error"]["code"] == -32601
        mcp.write(b'{"jsonrpc": "2.0", "id": 7, "result": {}}')  # an answer, to nothing that was asked
        mcp.send("notifications/nothing")
        mcp.send("notifications/cancelled", {"requestId": 99})
        assert mcp.request("ping", id_="a") == {"jsonrpc": "2.0", "id": "a", "result": {}}


def test_both_generations_agree_on_a_version(web: Project):
    with Mcp(web) as mcp:
        for asked, agreed in [("2024-11-05", "2024-11-05"), ("2025-11-25", "2025-11-25"), ("1999", "2025-11-25")]:
            assert mcp.request("initialize", FIRST | {"protocolVersion": asked})["result"]["protocolVersion"] == agreed
        refused = mcp.request("server/discover", {"_meta": {VERSION: "2099-01-01"}})["error"]
        assert (refused["code"], refused["data"]["requested"]) == (-32022, "2099-01-01")
        assert "2026-07-28" in refused["data"]["supported"]
        listed = mcp.request("tools/list", {"_meta": {VERSION: "2026-07-28"}})["result"]
        assert listed["resultType"] == "complete"


def test_no_value_is_taken_for_an_option(web: Project):
    with Mcp(web, "--allow-control") as mcp:
        for tool, arguments in [
            ("mika_logs", {"names": ["--follow"]}),
            ("mika_logs", {"grep": "--follow"}),
            ("mika_stop", {"names": ["--help"]}),
            ("mika_logs", {"names": ["a\0b"]}),
        ]:
            result = mcp.call(tool, **arguments)
            assert result["isError"] or not result["content"][0]["text"], result


def test_a_failed_command_is_an_error_with_its_fix(web: Project):
    with Mcp(web) as mcp:
        result = mcp.call("mika_status")
        assert result["isError"]
        assert "no stack is running" in result["content"][0]["text"]
        assert "`mika up`" in result["content"][0]["text"]
        found = mcp.call("mika_doctor")  # exit code 1, and an answer
        assert not found["isError"]
        assert "checks" in found["structuredContent"]


def test_it_speaks_english_whatever_the_user_reads(up: Project):
    with Mcp(up, "--allow-control") as mcp:
        stopped = mcp.call("mika_stop", names=["web"])["content"][0]["text"]
        found = mcp.call("mika_doctor")["content"][0]["text"]
        unknown = mcp.call("mika_logs", names=["wbe"])["content"][0]["text"]
    assert json.loads(stopped)["processes"][0]["detail"] == "stopped"
    assert "no log is named 'wbe'" in unknown
    assert (stopped + found + unknown).isascii()
    status = up.mika("status")
    assert "已停止" in status.out, status


# --- it ends, and what it started ends with it ------------------------------------------------------------------------


@pytest.fixture
def checking(project: Callable[..., Project]) -> Project:
    return project(scripts={"jobs": NEVER_A_WORKER})


def begin_check(this: Project, mcp: Mcp) -> None:
    mcp.send("tools/call", {"name": "mika_check", "arguments": {"processes": ["jobs"]}}, id=1)
    poll_until(lambda: this.alive("jobs.py"), 30, "the program that is checked runs")


def others(this: Project, mcp: Mcp) -> list[psutil.Process]:
    return [process for process in this.alive() if process.pid != mcp.process.pid]


def test_a_cancelled_call_ends_its_processes_and_is_not_answered(checking: Project):
    with Mcp(checking) as mcp:
        begin_check(checking, mcp)
        mcp.send("notifications/cancelled", {"requestId": 1})
        poll_until(lambda: not others(checking, mcp), 5, "the check and its program have ended")
        assert mcp.request("ping", id_=2)["id"] == 2
        with pytest.raises(queue.Empty):
            mcp.answer(0.5)


def test_calls_run_beside_each_other(checking: Project):
    with Mcp(checking) as mcp:
        begin_check(checking, mcp)
        assert mcp.request("tools/call", {"name": "mika_status"}, id_=2)["id"] == 2
        assert mcp.request("tools/call", {"name": "mika_status"}, id_=1)["error"]["code"] == -32600
        assert "made no Worker" in mcp.answer()["result"]["content"][0]["text"]


def test_the_end_of_its_input_ends_it_and_what_it_has_started(checking: Project):
    mcp = Mcp(checking)
    begin_check(checking, mcp)
    began = time.monotonic()
    assert mcp.close() == 0
    assert time.monotonic() - began < 2
    checking.assert_gone()


@posix_only
def test_sigterm_does_too(checking: Project):
    with Mcp(checking) as mcp:
        begin_check(checking, mcp)
        mcp.process.terminate()
        assert mcp.process.wait(5) == 0
        checking.assert_gone()


# --- it is small ------------------------------------------------------------------------------------------------------


@pytest.mark.alone
@posix_only
def test_it_starts_fast_and_is_small(web: Project):
    """In a ratio to Python itself, because other things may run on this machine."""
    ratios, sizes = [], []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        python = time.monotonic() - began
        began = time.monotonic()
        with Mcp(web) as mcp:
            mcp.request("initialize", FIRST)
            ratios.append((time.monotonic() - began) / python)
            sizes.append(psutil.Process(mcp.process.pid).memory_info().rss / 1e6)
    assert min(ratios) < 10
    if "COVERAGE_PROCESS_START" not in os.environ and "COVERAGE_PROCESS_CONFIG" not in os.environ:
        assert min(sizes) < 20
