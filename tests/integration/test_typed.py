"""Small things that people type: a chat, a page in the browser, an address for a script."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, POSIX, poll_until, posix_only
from tests.kit.programs import SLEEP

if POSIX:
    from tests.kit.tty import Tty

WEB = """
import http.server, os
class Docs(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/redoc") else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Docs).serve_forever()
"""
RAW = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); time.sleep(999)\n"


def test_send_reads_a_message_from_standard_input(bot: Bot):
    assert "I understood: one\ntwo (" in bot.ok("send", "-", stdin="one\ntwo\n").out
    assert "the message is empty" in bot.error("send", "-", code=2).err
    assert "not text in UTF-8" in _binary(bot)


def _binary(bot: Bot) -> str:
    command = [sys.executable, "-m", "mika", "-C", str(bot.folder), "send", "-"]
    env = bot.environ(LC_ALL="C.UTF-8")
    return subprocess.run(command, env=env, input=b"\xff\xfe\x00", capture_output=True, check=False).stderr.decode()


def test_send_without_a_text_needs_a_terminal(bot: Bot):
    assert bot.error("send", code=2).err.splitlines() == [
        "mika: TEXT is missing",
        '      give it: `mika send "hello"`, or `mika send -` to read standard input',
    ]


@posix_only
def test_a_chat(bot: Bot):
    history = bot.folder / ".mika" / "data" / "chat-history"
    with Tty([sys.executable, "-m", "mika", "-C", str(bot.folder), "send"], bot.environ()) as tty:
        tty.shows("> ")
        tty.type("hi there\n")
        tty.shows("I understood: hi there")
        tty.shows("> ")
        tty.type("\x1b[A!")  # the line before, and one character more
        tty.shows("hi there!")
        tty.type("\n")
        tty.shows("I understood: hi there!")
        tty.shows("> ")
        tty.type("half a li")
        tty.shows("half a li")
        _interrupt(tty)
        with _held(bot):
            tty.type("who answers?\n")
            poll_until(lambda: _running(bot), DEADLINE, "the message is on its way")
            tty.popen.send_signal(signal.SIGINT)
            tty.shows("no longer waited for")
            tty.shows("> ")
        tty.type("\x04")
        assert tty.ends() == 0
        assert "Traceback" not in tty.screen
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert history.read_text().splitlines() == ["hi there", "hi there!", "who answers?"]
    history.unlink()


def _interrupt(tty: Tty) -> None:
    """Again, if need be: Python's readline does not see a signal that comes just before it waits for the next key."""
    for _attempt in range(4):
        tty.popen.send_signal(signal.SIGINT)
        with contextlib.suppress(AssertionError):
            tty.shows("> ", timeout=2)
            return
    tty.popen.send_signal(signal.SIGINT)
    tty.shows("> ")


def _running(bot: Bot) -> bool:
    return bool(bot.mika("workflows", "--running", "--json").json["workflows"])


@contextlib.contextmanager
def _held(bot: Bot) -> Iterator[None]:
    """With a worker that answers nothing."""
    pid = bot.pid("worker")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it hung, and was replaced
            os.kill(pid, signal.SIGCONT)


def test_where_the_bot_is(bot: Bot):
    ui = f"http://127.0.0.1:{bot.ports['TEMPORAL_UI_PORT']}"
    temporal = f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}"
    found = {"ui": ui, "temporal-ui": ui, "api": bot.url, "temporal": temporal, "docs": f"{bot.url}/openapi.json"}
    for name, place in found.items():
        assert bot.ok("url", name).out == f"{place}\n"
    assert bot.ok("open").out == f"{ui}\n"
    assert f"it listens at {temporal}" in bot.error("open", "temporal", code=1).err
    assert "listens nowhere" in bot.error("url", "worker", code=1).err
    assert "did you mean 'worker'?" in bot.error("url", "wroker", code=2).err


@posix_only
def test_a_page_is_opened_in_the_browser_if_there_is_a_display(project):
    this = project(scripts={"web": WEB, "raw": RAW, "quiet": SLEEP})
    this.up()
    poll_until(lambda: this.unit("web")["listens"] and this.unit("raw")["listens"], DEADLINE, "they listen")
    url = f"http://127.0.0.1:{this.unit('web')['port']}"
    seen = this.folder / "seen"
    browser = this.write("browser", f'#!/bin/sh\necho "$1" >> {seen}\n')
    browser.chmod(0o700)
    nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    shown = this.ok("open", "web", env=nowhere)
    assert shown.out == f"{url}\n"
    assert "no display here" in shown.err
    assert this.ok("open", "docs", env=nowhere | {"BROWSER": str(browser)}).out == f"{url}/redoc\n"
    assert seen.read_text() == f"{url}/redoc\n"
    assert this.ok("open", "api", env=nowhere | {"BROWSER": "/no/such/browser"}).out == f"{url}\n"
    assert this.ok("url", "raw").out == f"127.0.0.1:{this.unit('raw')['port']}\n", "it does not speak HTTP"
    assert "`mika open web`, `mika open raw`" in this.error("open", env=nowhere, code=1).err
    tables = [re.sub(r"\d+ s\b", "a while", this.ok(verb).out) for verb in ("ps", "status")]  # up since
    assert tables[0].splitlines()[2:] == tables[1].splitlines()[2:]


def test_without_a_stack_they_say_so(project):
    this = project(scripts={"web": SLEEP})
    for words in (["ps"], ["open"], ["url", "web"]):
        assert this.error(*words, code=3).err == this.error("status", code=3).err
