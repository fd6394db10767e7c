"""A stack that one terminal has started, seen from another: each is told in its own language."""

from __future__ import annotations

import json
import re

from tests.kit.bot import Bot
from tests.kit.programs import SLEEP

_CHINESE = {"MIKA_LANG": "zh_CN"}
_SOON = "[process.web]\nmax_restarts = 1\n"  # given up after a second, and not after twelve
_ENGLISH_WORDS = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")
_COMMANDS = re.compile(r"`[^`]+`")


def test_why_a_process_crashes_is_said_in_the_language_of_each_terminal(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP}, toml=_SOON)
    this.up()
    this.write("web.py", "import sys\nsys.exit('no luck today')\n")
    this.mika("restart", "web")
    entry = this.wait_state("web", "gave_up")
    assert "exit code 1" in entry["detail"]
    assert "no luck today" in entry["detail"]

    status = this.mika("status", env=_CHINESE, process=True)
    assert "退出码 1" in status.out, status.out
    assert "no luck today" in status.out, "the words of the program itself"
    assert "exit code" not in status.out, status.out
    assert not _ENGLISH_WORDS.search(status.out.replace("no luck today", "")), status.out

    as_json = this.mika("status", "--json", env=_CHINESE, process=True)
    assert as_json.out.isascii()
    assert "texts" not in as_json.out
    assert next(unit for unit in as_json.json["processes"] if unit["name"] == "web")["detail"] == entry["detail"]

    waited = this.mika("wait", env=_CHINESE, process=True)
    assert waited.code == 1
    assert "web 已放弃：" in waited.err, waited.err
    assert "退出码 1" in waited.err, waited.err


def test_a_stack_in_the_background_that_fails_says_so_in_the_language_of_its_starter(project):
    this = project(scripts={"web": "import sys\nsys.exit('no luck today')\n"}, toml=_SOON)
    up = this.mika("up", "-d", env=_CHINESE, process=True)
    assert up.code == 1
    assert "web 已放弃：" in up.err, up.err
    assert "退出码 1" in up.err, up.err
    assert any("no luck today" in line["reason"] for line in this.events("gave_up", "web")), "the log is English"
    assert "已放弃" not in json.dumps(this.events("gave_up"), ensure_ascii=False)


def test_what_the_api_says_is_shown_in_chinese(bot: Bot):
    """The API itself speaks English, and knows of no language of a terminal."""
    event = {"env": _CHINESE, "process": True}
    refused = bot.mika("send", "nobody is called", "--group", "20002", "--as", "langbot", **event)
    assert refused.code == 1
    silent = bot.ok("why-silent", "nobody is called", **event)
    for said in (refused.err, silent.out):
        assert "没有 @ 它" in said, said
        assert "提到它的名字或 @ 它" in said, said
        assert not _ENGLISH_WORDS.search(_COMMANDS.sub("", said)), said
    as_json = bot.ok("why-silent", "nobody is called", "--json", **event)
    assert "texts" not in as_json.out
    assert "neither an @ of it" in as_json.out

    bot.ok("stop", "worker")
    unanswered = bot.mika("send", "hello", "--timeout", "5", **event)
    assert "没有 worker 来取（" in unanswered.err, unanswered.err
    assert "消息已保留：只要在到达后 60 秒内" in unanswered.err, unanswered.err
    assert not _ENGLISH_WORDS.search(_COMMANDS.sub("", unanswered.err)), unanswered.err
    worker = bot.http.get("/readyz").json()["worker"]
    assert worker["detail"] == "no worker polls mika-bot-task-queue"
