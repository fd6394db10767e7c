"""`mika` in a Windows console: keys are read, lines are drawn and erased, and Ctrl-C is obeyed at once.

The tests of an attached `mika up` share one stack, since each start of a Windows program takes a second.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.machine import poll_until
from tests.kit.stub_http import Answer, StubServer
from tests.kit.windows.console import Console
from tests.kit.windows.programs import BREAK, SERVICE, TALKING
from tests.kit.windows.project import PATIENCE, WinProject

pytestmark = pytest.mark.timeout(180)

Make = Callable[..., WinProject]

READY = r"talk ready  web ready \| \? help"
SHORT = r"2 ready \| \? help"


def console(stack: WinProject, *command: str, piped: bool = False) -> Console:
    return Console(stack.agent, command, stack.folder, stack.environ(), piped=piped)


@contextlib.contextmanager
def foreground(stack: WinProject) -> Iterator[Console]:
    """A window with `mika up` in it, ready; at the end all of the stack is gone, and was stopped gracefully."""
    with console(stack, "-m", "mika", "up") as window:
        window.last_row_is(r"web ready \| \? help", PATIENCE)
        yield window
    assert stack.log("web").endswith("clean\r\n")
    stack.assert_gone(10)


# --- the supervisor itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "C-c"])
def test_a_key_stops_a_foreground_up_gracefully(project: Make, key: str):
    with foreground(project(scripts={"web": SERVICE})) as window:
        window.shows("up ✓ 你好 🙂")
        window.keys(key)
        window.shows(r"stopping \(Ctrl-C or q again forces it\)")
        window.shows(r"stopped web in \d+\.\d s")
        assert window.ends() == 130
        assert "? help" not in window.screen()
        assert window.understands_escapes


def test_d_gives_the_console_back_and_the_stack_goes_on(project: Make):
    stack = project(scripts={"web": SERVICE})
    with foreground(stack) as window:
        supervisor, web = stack.status()["supervisor"]["pid"], stack.pid("web")
        window.keys("d")
        window.shows("detached; the stack goes on: `python -m mika down` stops it")
        assert window.ends() == 0
        assert "? help" not in window.screen()
        assert stack.status()["supervisor"]["pid"] == supervisor
        assert stack.pid("web") == web
        stack.ok("down")


def test_killing_the_process_that_the_shell_waits_for_stops_the_stack(project: Make):
    stack = project(scripts={"web": SERVICE})
    with foreground(stack):
        supervisor = stack.status()["supervisor"]["pid"]
        stack.agent.call("import psutil\npsutil.Process(args[0]).parent().kill()", supervisor)
        poll_until(lambda: "clean" in stack.log("web"), PATIENCE, "the end of web")


@pytest.mark.parametrize("key", ["C-c", "Ctrl-Break"])
def test_ctrl_c_is_obeyed_when_the_output_goes_into_a_pipe(project: Make, key: str):
    stack = project(scripts={"web": SERVICE, "brk": BREAK}, procfile="web: python web.py\n")
    mika = ("-m", "mika") if key == "C-c" else ("brk.py",)
    with console(stack, *mika, "up", piped=True) as window:
        stack.wait_ready(PATIENCE)
        poll_until(lambda: "GBK" in stack.log("web"), PATIENCE, "the output of web")
        if key == "C-c":
            window.keys(key)
        else:
            stack.write("break", "")
        assert window.ends() == 130
        text = window.written()
    assert stack.log("web").endswith("clean\r\n"), text
    stack.assert_gone(10)
    assert "ready after" in text
    assert "web | up ? ?? ?" in text, "a western Windows has none of these characters"
    assert "web | clean" in text
    assert "stopping (Ctrl-C again forces it)" in text
    assert "\x1b" not in text


# --- attached ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(windows: Any, agent: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WinProject]:
    scripts = {"talk": TALKING, "web": SERVICE}
    with WinProject(tmp_path_factory.mktemp("console"), scripts=scripts, windows=windows, agent=agent) as stack:
        stack.up(timeout=2 * PATIENCE)
        yield stack


def test_keys_of_an_attached_up(shared: WinProject):
    with console(shared, "-m", "mika", "up") as window:
        window.last_row_is(READY, PATIENCE)
        window.keys("x", "Up", "F5", "M-q", "à")  # nothing, and none of them is the half of something else
        window.keys("?")
        window.shows("1 talk, 2 web")
        window.shows(r"  q      stop the stack \(Ctrl-C only detaches\)")
        window.last_row_is(READY)

        window.keys("1", "l")
        window.last_row_is(r".* ready \| only talk \| warning and above \| \? help")
        window.keys("l", "l", "/")
        window.last_row_is(r"find: _ .*")
        window.keys("herX", "BSpace", "e")
        window.last_row_is(r"find: here_ .*")
        window.keys("Enter")
        window.shows("1 matches of 'here' in the logs")
        window.keys("/", "Enter")
        window.keys("/", "Escape")

        before = shared.pid("talk")
        window.keys("r")
        window.shows("restarting talk")
        shared.wait_replaced("talk", before, PATIENCE)
        window.keys("1")
        window.last_row_is(READY)

        window.keys("d")
        window.shows(r"detached; the stack goes on")
        assert window.ends() == 0
        assert "? help" not in window.screen()
    assert shared.status()["state"] == "ready"


def test_another_size(shared: WinProject):
    """The status line follows the size of the window, and leaves no copy of itself."""
    with console(shared, "-m", "mika", "up") as window:
        window.last_row_is(READY, PATIENCE)
        sizes = (30, 24, SHORT), (120, 30, READY), (22, 10, SHORT), (80, 24, READY)
        for said, (columns, rows, line) in enumerate(sizes, 1):
            window.resize(columns, rows)
            window.last_row_is(line)
            shared.write("say", "")
            poll_until(lambda: _lines(window, r"talk +said") == said, PATIENCE, "its line")  # noqa: B023
            assert _lines(window, r"\? help") == 1
        window.keys("C-c")
        window.shows("detached; the stack goes on")
        assert window.ends() == 130


def _lines(window: Console, pattern: str) -> int:
    return sum(bool(re.search(pattern, row)) for row in window.all_rows())


def test_lines_only(shared: WinProject):
    """Nothing is redrawn, and the console understands the colours all the same."""
    with console(shared, "-m", "mika", "up", "--plain") as window:
        window.shows("attached to supervisor", PATIENCE)
        shared.write("say", "")
        window.shows(r"talk +said")
        assert "\x1b[38;2;" in window.written()
        assert window.understands_escapes
        assert "? help" not in window.screen()
        window.keys("C-c")
        assert window.ends() == 130


def test_top(shared: WinProject):
    """It is drawn again in place, fits another size, and leaves the screen as it was."""
    with console(shared, "-m", "mika", "top") as window:
        window.shows(r"NAME.*\ntalk +ready .*\nweb +ready .*\n(.*\n)*q quits$", PATIENCE)
        clock = window.screen().split("\n")[0]
        poll_until(lambda: window.screen().split("\n")[0] != clock, PATIENCE, "it goes on")
        window.resize(50, 6)
        poll_until(lambda: _fits(window.screen(), 50, 6), PATIENCE, "what fits")
        window.keys("x", "Up")
        window.keys("q")
        assert window.ends() == 0
        assert window.written().endswith("\x1b[?25h\x1b[?1049l"), "the cursor and the screen are as they were"


def _fits(screen: str, columns: int, rows: int) -> bool:
    lines = screen.split("\n")
    return len(lines) <= rows and lines[-1] == "q quits" and max(map(len, lines)) <= columns


def test_an_attached_up_stops_the_stack(shared: WinProject):
    """The last one of the shared stack."""
    with console(shared, "-m", "mika", "up") as window:
        window.last_row_is(r".* \| \? help", PATIENCE)
        window.keys("q")
        window.shows(r"stopping \(q again forces it\)")
        window.shows(r"stopped web, talk in \d+\.\d s")
        assert window.ends() == 0
        assert "? help" not in window.screen()
    shared.assert_gone(10)


# --- the chat ---------------------------------------------------------------------------------------------------------


def test_the_chat_waits_for_a_reply_only_until_ctrl_c(project: Make):
    with StubServer() as bot:
        bot.default = Answer(body={"status": "ok", "response": "fine", "workflow_id": "w"})
        stack = project("web: python web.py\n", env={"API_PORT": str(urlsplit(bot.url).port)})
        with console(stack, "-m", "mika", "send") as window:
            window.shows(r"press Ctrl-Z and Enter to end\n>", PATIENCE)
            bot.plan.append(bot.holding())
            window.types("你好")
            poll_until(lambda: _messages(bot) == ["你好"], PATIENCE, "the message")
            window.keys("C-c")
            window.shows("no longer waited for", 5)  # a request takes up to 10 s
            window.types("hello")
            window.shows("fine")
            window.keys("C-z")
            window.keys("Enter")
            assert window.ends() == 0
        assert _messages(bot) == ["你好", "hello"]


def _messages(bot: StubServer) -> list[str]:
    return [body["message"] for _, _, body in bot.requests if body is not None]
