"""`mika up` in a real terminal (tmux), as a person looks at it and types."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from mika.cli.screen.width import width

from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.programs import SLOW_STOP
from tests.kit.project import Project
from tests.kit.tmux import Tmux

pytestmark = [posix_only, pytest.mark.xdist_group("terminal")]

# Each does something when its file appears, and is quiet otherwise.
CRASHING = """
import os, sys, time
print('here', flush=True)
while not os.path.exists('crash'):
    time.sleep(0.05)
os.remove('crash')
sys.exit(3)
"""
CHATTY = """
import os, time
print('here', flush=True)
while True:
    while not os.path.exists('chat'):
        time.sleep(0.05)
    os.remove('chat')
    for n in range(20_000):
        print('chatty line', n)
    for n in range(50):
        print(f'\\rstep {n} of 50', end='', flush=True)
        time.sleep(0.02)
    print('\\nall written', flush=True)
"""
JSON = """
import json, os, time
print('here', flush=True)
while True:
    while not os.path.exists('log'):
        time.sleep(0.05)
    os.remove('log')
    for number, level in enumerate(('info', 'warning', 'error')):
        print(json.dumps({'event': f'order_{level}', 'level': level, 'number': number}), flush=True)
"""
READY_IN_CHINESE = r"crash 就绪(（重启 \d+ 次）)?  chatty 就绪  orders 就绪 \| \? 帮助"
READY = r"crash ready( \(\d+ restarts?\))?  chatty ready  orders ready \| \? help"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Up in the background, so that each terminal is attached within a moment."""
    with Project(
        tmp_path_factory.mktemp("terminal"),
        scripts={"crash": CRASHING, "chatty": CHATTY, "orders": JSON},
        toml="".join(f'[process.{name}]\nready = "log:here"\n' for name in ("crash", "chatty", "orders")),
    ) as project:
        project.up()
        yield project


@pytest.fixture
def terminal(stack):
    """Attached to the stack, with all of it ready; 80 columns and 24 rows."""
    with Tmux(stack.environ()) as tmux:
        tmux.types(f"cd {stack.folder} && clear && mika up; echo code=$?")
        tmux.last_row_is(READY)
        yield tmux
        tmux.keys("Escape")
        tmux.keys("C-c")
        tmux.shows(r"code=\d+")


# --- the status line --------------------------------------------------------------------------------------------------


def test_the_status_line_stays_at_the_bottom(stack, terminal):
    (stack.folder / "crash").touch()
    terminal.shows(r"\d\d:\d\d:\d\d crash   exited: exit code 3")
    terminal.last_row_is(r"crash ready \(\d+ restarts?\)  chatty ready  orders ready \| \? help")
    assert terminal.screen().count("? help") == 1


def test_20_000_lines_leave_nothing_of_it_behind(stack, terminal):
    (stack.folder / "chat").touch()
    terminal.shows(r"chatty \| step \d+ of 50\n.* \? help")
    terminal.shows(r"chatty  all written")
    terminal.last_row_is(READY)
    rows = terminal.all_rows()
    assert sum("? help" in row for row in rows) == 1
    chatty = [row for row in rows if "chatty line" in row]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d chatty  chatty line \d+", row) for row in chatty)
    skipped = sum(int(row.split()[3]) for row in rows if "lines skipped here" in row)
    assert len(chatty) + skipped >= 20_000
    assert [row[9:] for row in rows if "step" in row] == ["chatty  step 49 of 50"]


def test_another_size(stack, terminal):
    """It follows the size, and leaves no copy of itself."""
    short = r"3 ready \| \? help"
    sizes = ((40, 24, short), (120, 30, READY), (22, 10, short), (200, 50, READY), (80, 24, READY), (36, 24, short))
    for columns, rows, line in sizes:
        terminal.resize(columns, rows)
        terminal.last_row_is(line)
        (stack.folder / "log").touch()
        terminal.shows("order_error")
        assert sum("? help" in row for row in terminal.all_rows()) == 1


def test_a_stopped_terminal_blocks_nobody(stack, terminal):
    terminal.keys("C-s")
    written = len(stack.log("chatty"))
    (stack.folder / "chat").touch()
    poll_until(lambda: len(stack.log("chatty")) > written + 200_000, DEADLINE, "all of its lines in the log")
    (stack.folder / "log").touch()
    assert stack.status()["state"] == "ready"
    assert "order_error" not in terminal.screen()
    terminal.keys("C-q")
    # The lines of `chatty` may push it off the screen at once.
    poll_until(lambda: any("order_error" in row for row in terminal.all_rows()), DEADLINE, "the line of orders")
    terminal.last_row_is(READY)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_help_and_what_means_nothing(stack, terminal):
    """What is pasted is no key; and nothing here has an address."""
    terminal.pastes("q\nr3\n")
    terminal.keys("o")
    terminal.shows("nothing here has an address to open")
    terminal.keys("x", "Up", "F5", "M-q")
    terminal.keys("?")
    terminal.shows("1 crash, 2 chatty, 3 orders")
    terminal.shows(r"  q      stop the stack \(Ctrl-C only detaches\)")
    assert re.fullmatch(READY, terminal.last_row)
    assert "stopping" not in terminal.screen()
    assert stack.status()["state"] == "ready"


def test_the_lines_of_one_process_of_one_level_and_raw(stack, terminal):
    terminal.keys("2")
    terminal.last_row_is(r".* \| only chatty \| \? help")
    terminal.keys("3")
    terminal.keys("l")
    terminal.last_row_is(r".* \| only orders \| warning and above \| \? help")
    (stack.folder / "log").touch()
    terminal.shows("order_error")
    shown = terminal.screen()
    assert "WARN  order_warning  number=1" in shown
    assert "order_info" not in shown
    terminal.keys("l")
    terminal.keys("l")
    terminal.keys("3")
    terminal.keys("p")
    terminal.last_row_is(r".*orders ready \| raw \| \? help")
    (stack.folder / "log").touch()
    terminal.shows(r'orders \| \{"event": "order_info", "level": "info", "number": 0\}')
    terminal.keys("p")
    terminal.last_row_is(READY)


def test_find(stack, terminal):
    (stack.folder / "log").touch()
    terminal.shows("order_error")
    terminal.keys("/")
    terminal.last_row_is(r"find: _ .*")
    terminal.keys("-l", "ORDER_wax")
    terminal.keys("BSpace")
    terminal.pastes("rning")
    terminal.last_row_is(r"find: ORDER_warning_ .*")
    terminal.keys("Enter")
    terminal.shows(r"\d+ matches of 'ORDER_warning' in the logs")
    terminal.last_row_is(r".* \| /ORDER_warning \| \? help")
    (stack.folder / "log").touch()
    poll_until(lambda: "\x1b[7morder_warning" in terminal.screen(escapes=True), DEADLINE, "a mark")
    terminal.keys("n")
    terminal.shows(r"match \d+ of \d+|no match after that")
    terminal.keys("N")
    terminal.shows(r"match \d+ of \d+|no match before that")
    terminal.keys("/")
    terminal.keys("Enter")
    terminal.last_row_is(READY)


def test_restart_stop_and_start(stack, terminal):
    before = stack.pid("orders")
    terminal.keys("r")
    terminal.last_row_is("restart:  ?1 crash  2 chatty  3 orders  Esc: none")
    terminal.keys("3")
    terminal.shows("restarting orders")
    stack.wait_replaced("orders", before)
    terminal.keys("3")
    terminal.last_row_is(r".* only orders \| \? help")
    terminal.keys("s")
    terminal.last_row_is(r"orders stopped  crash ready.*")
    assert stack.unit("orders")["pid"] is None
    terminal.keys("s")
    stack.wait_state("orders", "ready")
    terminal.keys("3")
    terminal.last_row_is(READY)


def test_detach(stack, terminal):
    terminal.keys("d")
    terminal.shows(r"detached; the stack goes on: `mika down` stops it\ncode=0")
    assert "? help" not in terminal.screen()
    assert stack.status()["state"] == "ready"


def test_killed_while_attached_the_terminal_is_as_it_was(stack, terminal):
    (attached,) = [each for each in stack.alive() if each.cmdline()[-1] == "up"]
    attached.send_signal(signal.SIGTERM)
    terminal.shows(r"code=143")
    terminal.types("stty -a | grep -o ' icanon\\| echo '")
    terminal.shows(r" icanon")
    assert "? help" not in terminal.screen()


def test_lines_only(stack):
    with Tmux(stack.environ()) as tmux:
        tmux.types(f"cd {stack.folder} && clear && mika up --plain; echo code=$?")
        tmux.shows("attached to supervisor")
        (stack.folder / "log").touch()
        tmux.shows("order_error")
        assert "? help" not in tmux.screen()
        tmux.keys("C-c")
        tmux.shows("code=130")


# --- in Chinese -------------------------------------------------------------------------------------------------------


@pytest.fixture
def chinese(stack):
    """A shell whose user reads Chinese: each of these characters is two columns wide."""
    with Tmux(stack.environ(MIKA_LANG="zh_CN")) as tmux:
        tmux.types(f"cd {stack.folder} && clear")
        yield tmux


def test_the_status_line_and_the_keys_in_chinese(chinese):
    chinese.types("mika up; echo code=$?")
    chinese.last_row_is(READY_IN_CHINESE)
    chinese.keys("?")
    chinese.shows(r"  q      停止整套服务（Ctrl-C 只是断开）")
    rows = chinese.screen().split("\n")
    wanted = [f"  {key:<7}" for key in ("1-9", "r s", "l p", "/ n N", "o", "d", "q")]
    keys = [row[:9] for row in rows[rows.index("按键") + 1 :][: len(wanted)]]
    assert keys == wanted, "none is in two rows"
    assert re.fullmatch(READY_IN_CHINESE, chinese.last_row)
    chinese.resize(40, 24)
    chinese.last_row_is(r"3 个就绪 \| \? 帮助")
    chinese.keys("C-c")
    chinese.shows(r"code=\d+")
    assert "? 帮助" not in chinese.screen()


def test_top_in_chinese(chinese):
    chinese.types("mika top")
    chinese.shows(r"名称(.*\n)+q 退出")
    rows = chinese.screen().split("\n")
    assert width(rows[0]) == 80, "with the clock at its right"
    titles = next(row for row in rows if row.startswith("名称"))
    units = [row for row in rows if "就绪" in row and row is not rows[0]]
    assert len(units) == 3
    assert {width(row[: row.index("就绪")]) for row in units} == {width(titles[: titles.index("状态")])}
    chinese.keys("q")


# --- the supervisor itself --------------------------------------------------------------------------------------------


@pytest.fixture
def shell(project):
    """A shell in the folder of a project that is not up."""
    this = project(scripts={"web": SLOW_STOP.format(seconds=1.5)})
    with Tmux(this.environ()) as tmux:
        tmux.types(f"cd {this.folder} && clear")
        yield this, tmux


def ends(tmux):
    tmux.last_row_is(r"stopping: waiting for web \| \? help")
    tmux.shows(r"stopped web in \d+\.\d s\n")
    assert "? help" not in tmux.screen()
    tmux.types("echo code=$?; stty -a | grep -o ' icanon'")
    tmux.shows(r"code=130\n icanon")


def test_ctrl_c_is_the_end(shell):
    _, tmux = shell
    tmux.types("mika up")
    tmux.last_row_is(r"web ready \| \? help")
    tmux.keys("?")
    tmux.shows("stop the stack, as Ctrl-C does")
    tmux.keys("C-c")
    ends(tmux)


def test_d_gives_the_terminal_back_and_the_stack_outlives_it(shell):
    this, tmux = shell
    tmux.types("mika up; echo code=$?")
    tmux.last_row_is(r"web ready \| \? help")
    web, supervisor = this.pid("web"), psutil.Process(this.status()["supervisor"]["pid"])
    tmux.keys("d")
    tmux.shows(r"detached; the stack goes on: `mika down` stops it\ncode=0")
    assert "? help" not in tmux.screen()
    tmux.types("stty -a | grep -o ' icanon'; echo typed-$((1+1))")
    tmux.shows(r" icanon\ntyped-2")
    assert supervisor.terminal() is None
    streams = [Path(f"/proc/{supervisor.pid}/fd/{number}") for number in (0, 1, 2)]
    assert all(stream.readlink() == Path(os.devnull) for stream in streams)
    tmux.close()
    time.sleep(0.5)  # a process of the terminal would get its SIGHUP by now
    assert this.pid("web") == web
    assert this.status()["supervisor"]["pid"] == supervisor.pid
    assert this.ok("down").out.startswith("stopped web in ")


@pytest.mark.parametrize(
    ("of_the_shell", "signum", "shown"),
    [
        (True, signal.SIGTERM, r"stopped web in 1.\d s(.*\n)+code=0"),
        (True, signal.SIGINT, r"stopped web in 1.\d s(.*\n)+code=130"),
        (True, signal.SIGKILL, r"Killed(.*\n)+.*stopped web in 1.\d s"),
        (True, signal.SIGQUIT, r"Quit(.*\n)+code=131"),
        (False, signal.SIGTERM, r"stopped web in 1.\d s(.*\n)+code=0"),
        (False, signal.SIGKILL, r"Killed(.*\n)+code=137"),
    ],
)
def test_a_signal_to_either_process_is_the_end_of_both(shell, of_the_shell, signum, shown):
    """The shell waits for a process that only waits for the supervisor, so that `d` is possible."""
    this, tmux = shell
    tmux.types("mika up; echo code=$?")
    tmux.last_row_is(r"web ready \| \? help")
    supervisor = psutil.Process(this.status()["supervisor"]["pid"])
    waiter = supervisor.parent()
    (waiter if of_the_shell else supervisor).send_signal(signum)
    tmux.shows(shown)
    _gone, left = psutil.wait_procs([supervisor, waiter], DEADLINE)
    assert not left


def test_in_the_background_the_keys_are_the_shells_and_q_is_the_end(shell):
    this, tmux = shell
    tmux.types("mika up &")
    this.wait_ready()
    tmux.types("echo typed-$((1+1))")
    tmux.shows("typed-2")
    assert "? help" not in tmux.screen()
    tmux.types("fg")
    tmux.last_row_is(r"web ready \| \? help")
    tmux.keys("C-z")
    tmux.shows(r"Stopped +mika up")
    assert "? help" not in tmux.screen()
    tmux.types("stty -a | grep -o ' icanon'")
    tmux.shows(" icanon")
    tmux.types("bg")
    tmux.types("echo typed-$((1+2))")
    tmux.shows("typed-3")
    tmux.types("fg")
    tmux.last_row_is(r"web ready \| \? help")
    tmux.keys("q")
    ends(tmux)
