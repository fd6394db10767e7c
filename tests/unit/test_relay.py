"""The relay: every line for a pipe, as much as it takes for a terminal, and nobody who can hold it up."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest
from mika.cli.screen import relay as module
from mika.cli.screen.pretty import Pretty
from mika.cli.screen.relay import Prefixes, Relay
from mika.cli.screen.selection import Selection
from mika.records.record import Level
from mika.text import plain

from tests.kit.machine import poll_until, posix_only
from tests.kit.screens import Logs, Screen


@pytest.fixture
def logs(tmp_path):
    this = Logs(tmp_path / "logs")
    yield this
    this.close()


def printed(logs: Logs, names: list[str], writes: list[tuple[str, bytes]], *, color: bool = False) -> list[str]:
    screen = Screen()
    relay = Relay(logs.folder, names, color=color, out=screen)
    relay.show_logs()
    for name, data in writes:
        logs.write(name, data)
    relay.close()
    return screen.getvalue().splitlines()


def test_every_line_with_its_prefix(logs):
    writes = [("web", b"one\n"), ("worker", "zwei 二\n".encode()), ("web", b"three\n")]
    lines = printed(logs, ["web", "worker"], writes)
    assert [line for line in lines if line.startswith("web")] == ["web    | one", "web    | three"]
    assert [line for line in lines if line.startswith("worker")] == ["worker | zwei 二"]
    assert len(lines) == 3


def test_a_line_without_an_end_is_shown_at_the_end(logs):
    assert printed(logs, ["web"], [("web", b"whole\nhal"), ("web", b"f")]) == ["web | whole", "web | half"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"crlf\r\n", "crlf"),
        ("中文\n".encode("gbk"), "中文"),
        (b"\x1b[31mred\x1b[0m and \x1b]0;title\x07plain\n", "red and plain"),
        ("line\u2028separator\x0b\x0c\x85\n".encode(), "line\u2028separator\x0b\x0c\x85"),
    ],
)
def test_bytes_become_text(logs, data, line, monkeypatch):
    monkeypatch.setattr("locale.getencoding", lambda: "utf-8")  # in that of a western Windows GBK is text, too
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    relay.show_logs()
    logs.write("web", data)
    relay.close()
    assert screen.getvalue() == f"web | {line}\n"


def test_with_color_the_escapes_stay(logs):
    (line,) = printed(logs, ["web"], [("web", b"\x1b[31mred\x1b[0m\n")], color=True)
    assert line.endswith("\x1b[31mred\x1b[0m")
    assert "web | " in plain(line)


def test_a_pipe_gets_every_line(logs):
    count = 100_000
    screen = Screen()
    relay = Relay(logs.folder, ["a", "b"], color=False, out=screen)
    relay.show_logs()
    for start in range(0, count, 1000):
        for name in "ab":
            logs.write(name, b"".join(b"line %d\n" % n for n in range(start, start + 1000)))
    relay.close()
    lines = screen.getvalue().splitlines()
    for name in "ab":
        assert [line for line in lines if line.startswith(name)] == [f"{name} | line {n}" for n in range(count)]


def test_a_terminal_that_cannot_keep_up_skips_and_says_how_many(logs):
    screen = Screen(terminal=True)
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    relay.show_logs()
    screen.moving.clear()
    logs.write("web", b"first\n")
    poll_until(lambda: threading.active_count() > 1, 5, "the relay")
    time.sleep(0.2)  # it may take the first line now, and stops there
    count = 3 * module.TERMINAL_BEHIND // 10
    logs.write("web", b"".join(b"%09d\n" % n for n in range(count)))
    screen.moving.set()
    poll_until(lambda: "lines skipped" in screen.getvalue(), 5, "the note")
    logs.write("web", b"last\n")
    relay.close()
    lines = screen.getvalue().splitlines()
    (note,) = [line for line in lines if "lines skipped" in line]
    skipped = int(note.split()[3])
    assert "`mika logs web` has them" in note
    assert lines[-1] == "web | last"
    assert len(lines) - 1 + skipped == count + 2, "every line is either shown or counted"


def test_a_pipe_that_is_slow_gets_all_of_it_at_the_end(logs):
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    relay.show_logs()
    screen.moving.clear()
    for n in range(50_000):
        logs.write("web", b"%09d\n" % n)
    closing = threading.Thread(target=relay.close)
    closing.start()
    screen.moving.set()
    closing.join(20)
    assert screen.getvalue().splitlines() == [f"web | {n:09d}" for n in range(50_000)]


def test_a_reader_that_takes_nothing_does_not_hold_up_the_end(logs, monkeypatch):
    monkeypatch.setattr(module, "_STUCK", 0.3)
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    screen.moving.clear()
    relay.say("hello")
    began = time.monotonic()
    relay.close()
    assert time.monotonic() - began < 5
    screen.moving.set()
    relay.close()
    assert screen.getvalue() == "hello\n"


def test_a_slow_terminal_that_is_left_gets_no_more_of_what_it_is_given(logs):
    screen = Screen(terminal=True)
    screen.moving.clear()
    relay = Relay(logs.folder, [], color=False, out=screen)
    relay.say("x" * 20_000)
    assert screen.asked.wait(5)
    threading.Timer(0.1, screen.moving.set).start()
    relay.say("detached")
    relay.close(at_once=True)
    assert screen.getvalue().count("x") == 4096
    assert plain(screen.getvalue()).endswith("detached\n")


def test_saying_something_never_blocks(logs):
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    screen.moving.clear()
    began = time.monotonic()
    for n in range(1000):
        relay.say(f"message {n}")
    assert time.monotonic() - began < 2
    screen.moving.set()
    relay.close()
    assert screen.getvalue().splitlines() == [f"message {n}" for n in range(1000)]


def test_a_broken_pipe_is_no_error(logs):
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    relay.show_logs()
    relay.say("before")
    poll_until(lambda: "before" in screen.getvalue(), 5, "the first message")
    screen.broken = True
    relay.say("lost")
    logs.write("web", b"lost\n")
    relay.close()
    assert screen.getvalue() == "before\n"


@posix_only
def test_a_real_pipe_whose_reader_goes(logs):
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="utf-8") as out:
        relay = Relay(logs.folder, ["web"], color=False, out=out)
        relay.say("seen")
        assert os.read(read, 100) == b"seen\n"
        os.close(read)
        relay.say("x" * 100_000)
        relay.close()
        with contextlib.suppress(BrokenPipeError):
            out.close()


def test_nothing_of_the_logs_before_it_is_asked_for(logs):
    logs.write("web", b"of an earlier run\n")
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    logs.write("web", b"while it starts\n")
    relay.say("ready")
    poll_until(lambda: screen.getvalue() == "ready\n", 5, "the message")
    relay.show_logs()
    relay.close()
    assert screen.getvalue() == "ready\nweb | while it starts\n"


def test_a_log_that_comes_later(logs):
    screen = Screen()
    relay = Relay(logs.folder, ["web", "late"], color=False, out=screen)
    relay.show_logs()
    time.sleep(0.1)
    logs.write("late", b"here\n")
    poll_until(lambda: screen.getvalue() == "late | here\n", 5, "its line")
    relay.close()


# --- a terminal with a line at its bottom -----------------------------------------------------------------------------


def test_what_a_process_wrote_last_stands_before_the_event_of_its_exit(logs, monkeypatch):
    """Also if both come in the moment between a look at the log and the one at the events."""
    screen = Screen()
    relay = Relay(logs.folder, ["web"], color=False, out=screen)
    relay.show_logs()
    look, exited = module.logs.Follower.poll_block, threading.Event()

    def look_and_be_late(follower):
        block = look(follower)
        if not exited.is_set():
            exited.set()
            logs.write("web", b"boom\n")
            relay.say("web exited")
        return block

    monkeypatch.setattr(module.logs.Follower, "poll_block", look_and_be_late)
    assert exited.wait(5)
    relay.close()
    assert screen.getvalue() == "web | boom\nweb exited\n"


ERASED = "\r\x1b[2K\x1b[J"


def pinned(text: str) -> str:
    """In reverse video, not wrapped, with the cursor at its beginning."""
    return f"\x1b[?7l\x1b[7m{text}\x1b[0m\x1b[?7h\r"


def pinned_relay(logs, screen: Screen, **options) -> Relay:
    relay = Relay(logs.folder, ["a", "b"], color=False, out=screen, **options)
    relay.show_logs()
    relay.pin(lambda width: f"all well ({width})")
    poll_until(lambda: screen.getvalue().endswith(pinned("all well (79)")), 5, "the line")
    return relay


def test_the_pinned_line_stays_below_and_is_gone_at_the_end(logs):
    screen = Screen(terminal=True)
    relay = pinned_relay(logs, screen)
    logs.write("a", b"one\ntwo\n")
    poll_until(lambda: "two" in screen.getvalue(), 5, "its lines")
    drawn = pinned("all well (79)")
    assert screen.getvalue() == f"\x1b[?2004h{drawn}{ERASED}a | one\na | two\n{drawn}"
    logs.write("b", b"half")
    relay.close()
    assert screen.getvalue().endswith(f"{drawn}{ERASED}b | half\n\x1b[?2004l")


def test_the_pinned_line_is_drawn_once_a_block_and_not_again_while_nothing_changes(logs):
    screen = Screen(terminal=True)
    relay = pinned_relay(logs, screen)
    logs.write("a", b"".join(b"line %d\n" % n for n in range(10_000)))
    poll_until(lambda: "line 9999" in screen.getvalue(), 5, "its lines")
    drawn = screen.getvalue().count("all well")
    assert drawn < 10
    time.sleep(0.7)
    assert screen.getvalue().count("all well") == drawn
    relay.pin(lambda width: "bad")
    poll_until(lambda: screen.getvalue().endswith(ERASED + pinned("bad")), 5, "the new line")
    relay.pin(None)
    relay.wait_unpinned(5)
    assert screen.getvalue().endswith(f"{pinned('bad')}{ERASED}\x1b[?2004l")
    relay.close()


def test_a_line_that_is_rewritten_is_one_row_above_the_pinned_one(logs):
    screen = Screen(terminal=True)
    relay = pinned_relay(logs, screen)
    logs.write("a", b" 10%|#   \r 20%|##  ")
    bar = "\x1b[7mall well (79)\x1b[0m"
    poll_until(lambda: screen.getvalue().endswith(f"\x1b[?7la |  20%|##\n{bar}\x1b[?7h\r\x1b[1A"), 5, "its last step")
    logs.write("a", b"\r100%|####")
    poll_until(lambda: f"a | 100%|####\n{bar}" in screen.getvalue(), 5, "the next step")
    logs.write("b", b"other\n")
    poll_until(lambda: f"{ERASED}b | other\n" in screen.getvalue(), 5, "a line of another process")
    assert screen.getvalue().count("100%|####\n") == 2, "drawn again below it"
    logs.write("a", b"\n")
    poll_until(lambda: screen.getvalue().endswith(pinned("all well (79)")), 5, "the line is finished")
    relay.close()


def test_a_terminal_that_is_gone_holds_nobody_up(logs):
    screen = Screen(terminal=True)
    relay = pinned_relay(logs, screen)
    poll_until(lambda: screen.getvalue().endswith(pinned("all well (79)")), 5, "the line")
    screen.broken = True
    relay.pin(lambda width: "changed")
    poll_until(lambda: relay._broken, 5, "the failed write")
    relay.pin(lambda width: "changed again")
    relay.close()
    assert not relay._thread.is_alive(), "it goes on looking for a moment at which nothing is to be drawn"
    relay.wait_unpinned(0)
    assert relay._drawn == (), "nothing stands there"


def test_many_progress_bars_leave_room_for_lines(logs, monkeypatch):
    names = [f"p{number}" for number in range(9)]
    screen = Screen(terminal=True)
    relay = Relay(logs.folder, names, color=False, out=screen)
    monkeypatch.setattr(relay, "_size", lambda: (80, 6))
    for name in names:
        logs.write(name, b"\r10%")
    relay.show_logs()
    relay.pin(lambda _columns: "all well")
    poll_until(lambda: screen.getvalue().endswith("\x1b[4A"), 5, "four bars and the line")
    assert "p4" not in screen.getvalue()
    relay.close()


def test_the_pinned_line_fits_a_terminal_that_was_made_narrower(logs, monkeypatch):
    screen = Screen(terminal=True)
    relay = Relay(logs.folder, ["a"], color=False, out=screen)
    width = 80
    monkeypatch.setattr(relay, "_size", lambda: (width, 24))
    relay.pin(lambda columns: "x" * columns)
    poll_until(lambda: "x" * 79 in screen.getvalue(), 5, "the line")
    width = 30
    poll_until(lambda: screen.getvalue().endswith(ERASED + pinned("x" * 29)), 5, "the shorter line")
    relay.close()


def test_a_person_chooses_what_is_shown(logs):
    screen = Screen(terminal=True)
    relay = Relay(logs.folder, ["a", "b"], color=False, out=screen)
    relay.show_logs()
    pretty = Pretty(["a", "b"], Path("/nowhere"), color=False)
    relay.choose(Selection(only="b", level=Level.WARNING, find="bad", is_pretty=False), pretty)
    logs.write("a", b"ERROR:root:bad\n")
    logs.write("b", b"INFO:root:good\nWARNING:root:bad\n")
    poll_until(lambda: "bad" in screen.getvalue(), 5, "its line")
    relay.choose(Selection(), pretty)
    logs.write("a", b"WARNING:root:again\n")
    relay.close()
    first, second = screen.getvalue().splitlines()
    assert first == "b | WARNING:root:\x1b[7mbad\x1b[27m"
    assert second.endswith(" a  WARN  again")


def test_prefixes(monkeypatch):
    monkeypatch.setenv("COLORTERM", "truecolor")
    prefixes = Prefixes(["a", "worker.1"], color=False)
    assert prefixes.line("a", "x") == "a        | x"
    assert prefixes.line("unknown", "x") == "unknown | x"
    assert prefixes.block("worker.1", "x\n\ny\n") == "worker.1 | x\nworker.1 | \nworker.1 | y\n"
    assert Prefixes(["a"], color=False, alone=True).line("a", "x") == "x"
    colored = Prefixes(["a", "b"], color=True)
    assert plain(colored.line("a", "x")) == "a | x"
    assert colored.line("a", "").split("a")[0] != colored.line("b", "").split("b")[0]
