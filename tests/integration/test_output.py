"""What a terminal, a pipe and `mika logs` see of the output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal

import pytest

from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.programs import SLEEP
from tests.kit.project import Project

# --- output -----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_every_line(project):
    lines = 20_000
    code = f"import sys\nfor n in range({lines}): print('line', n, '中')\nsys.exit(0)\n"
    this = project(scripts={"job": code}, toml='[process.job]\nrestart = "never"\n')
    result = this.mika("up")
    assert result.code == 0
    got = [line for line in result.out.splitlines() if line.startswith("job | line")]
    assert got == [f"job | line {n} 中" for n in range(lines)]


def test_output_of_several_has_aligned_prefixes(project):
    this = project(
        scripts={"a": "print('one')\n", "longer": "print('two')\n"},
        toml="".join(f'[process.{name}]\nrestart = "never"\n' for name in ("a", "longer")),
    )
    out = this.ok("up").out
    assert "a      | one\n" in out
    assert "longer | two\n" in out


@posix_only
def test_a_reader_that_stops_reading_blocks_nobody(project):
    code = "import time\nfor n in range(100_000): print('x' * 80)\nprint('all written', flush=True)\ntime.sleep(600)\n"
    this = project(scripts={"web": code})
    read, write = os.pipe()
    try:
        up = this.start_mika("up", stdout=write)
        poll_until(lambda: this.log("web").endswith("all written\n"), DEADLINE, "the end of the output")
        this.ok("status", timeout=10)
        this.ok("down", timeout=30)
        assert up.wait() == 0
    finally:
        os.close(read)
        os.close(write)


@posix_only
def test_a_closed_pipe_does_not_stop_the_stack(project):
    code = "import time\nfor n in range(600):\n    print('line', n, flush=True)\n    time.sleep(0.05)\n"
    this = project(scripts={"web": code})
    read, write = os.pipe()
    up = this.start_mika("up", stdout=write)
    os.close(write)
    assert os.read(read, 1)
    os.close(read)
    this.wait_ready()
    written = len(this.log("web"))
    poll_until(lambda: len(this.log("web")) > written + 200, DEADLINE, "more lines")
    assert up.popen.poll() is None
    this.ok("down")
    assert up.wait() == 0, up.output()


@posix_only
@pytest.mark.parametrize("look", ["--raw", "--pretty"])
def test_a_terminal_gets_lines_as_they_are(project, look):
    """Also long ones and ones with tabs: what draws the progress must not touch them."""
    import fcntl
    import pty
    import struct
    import termios

    long = "long " + "0123456789" * 50
    code = f"print('here', flush=True)\nprint('{long}')\nprint('a\\tb [bold]c :smile:')\n{SLEEP}"
    this = project(scripts={"web": code}, toml='[process.web]\nready = "log:here"\n', env={"TERM": "xterm-256color"})
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(screen, False)
    seen = b""
    try:
        up = this.start_mika("up", look, stdout=terminal)
        os.close(terminal)

        def sees(text: bytes) -> bool:
            nonlocal seen
            with contextlib.suppress(BlockingIOError):
                seen += os.read(screen, 65536)
            return text in seen

        poll_until(lambda: sees(b":smile:"), DEADLINE, "the last line")
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
        assert "ready after" in text
        prefix = r"web \| " if look == "--raw" else r"\d\d:\d\d:\d\d web  "
        assert re.search(rf"{prefix}{long}\r\n", text)
        assert re.search(rf"{prefix}a\tb \[bold\]c :smile:\r\n", text)
        up.send(signal.SIGINT)
        poll_until(lambda: sees(b"stopping"), DEADLINE, "the answer to Ctrl-C")
        assert up.wait() == 130
    finally:
        os.close(screen)


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "latin-1"])
def test_any_console_encoding(project, encoding):
    this = project(
        scripts={"job": "print('emoji \\U0001f600 中文')\n"},
        toml='[process.job]\nrestart = "never"\n',
        env={"PYTHONIOENCODING": encoding},
    )
    this.write("job.py", "import sys\nsys.stdout.buffer.write('emoji \U0001f600 中文\\n'.encode())\n")
    assert this.mika("up").code == 0
    result = this.mika("logs")
    assert result.code == 0, str(result)
    assert "Traceback" not in result.text


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(project) -> Project:
    """A stack that ran and is down: its logs stay."""
    code = "import time\nfor n in range(5):\n    print('{0}', n, flush=True)\n    time.sleep(0.02)\n"
    this = project(
        scripts={"a": code.format("red"), "b": code.format("\\x1b[31mblue\\x1b[0m")},
        toml='[process.a]\nrestart = "never"\n[process.b]\nrestart = "never"\n',
    )
    this.ok("up")
    return this


def test_logs_when_nothing_runs(logged):
    lines = logged.ok("logs").out.splitlines()
    assert sorted(lines) == [f"a | red {n}" for n in range(5)] + [f"b | blue {n}" for n in range(5)]
    assert logged.ok("logs", "a").out.splitlines() == [f"red {n}" for n in range(5)]


def test_logs_in_the_order_of_time(logged):
    for name in "ab":
        lines = [line for line in logged.ok("logs").out.splitlines() if line.startswith(f"{name} |")]
        assert [line[-1] for line in lines] == list("01234")


def test_logs_the_last_lines(logged):
    assert logged.ok("logs", "-n", "2", "a").out.splitlines() == ["red 3", "red 4"]
    assert logged.ok("logs", "-n", "0", "a").out == ""
    last = logged.ok("logs", "-n", "1").out.splitlines()
    assert sorted(last) == ["a | red 4", "b | blue 4"], "`-n`: the last N lines of each"


def test_logs_grep(logged):
    assert sorted(logged.ok("logs", "--grep", "[12]$").out.splitlines()) == [
        "a | red 1",
        "a | red 2",
        "b | blue 1",
        "b | blue 2",
    ]
    assert logged.ok("logs", "--grep", "^blue 3").out == "b | blue 3\n"  # escapes do not hide it


def test_logs_that_are_chosen_by_what_they_say(project):
    lines = [
        '{"event": "started", "level": "info", "workflow_id": "order-17"}',
        '{"event": "slow", "level": "warning", "workflow_id": "order-18"}',
        "2026-11-28 03:30:18,123 ERROR broken",
        "Traceback (most recent call last):",
        "INFO:     fine again",
    ]
    this = project(scripts={"a": f"print({chr(10).join(lines)!r})\n"}, toml='[process.a]\nrestart = "never"\n')
    this.ok("up")
    assert this.ok("logs", "--level", "warn").out.splitlines() == lines[1:4]  # the traceback belongs to the error
    assert this.ok("logs", "--level", "error", "-n", "1").out.splitlines() == lines[3:4]
    assert this.ok("logs", "--workflow", "rder-17").out.splitlines() == lines[:1]
    unknown = this.mika("logs", "--workflow", "order-19")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("mika: no line of these logs names order-19\n")
    assert this.ok("logs", "--grep", "BROKEN", "-i").out.splitlines() == lines[2:3]
    assert this.ok("logs", "--until", "1h").out == ""
    assert this.ok("logs", "--until", "0s", "--since", "1h").out.splitlines() == lines
    readable = this.ok("logs", "--pretty").out.splitlines()
    assert readable[0].endswith("  INFO  started  order-17")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Traceback .*", readable[3])
    events = this.ok("logs", "mika", "--pretty").out
    assert re.search(r"^\d\d:\d\d:\d\d a     started \(pid \d+\)$", events, re.MULTILINE), events


def test_logs_since(logged):
    assert logged.ok("logs", "--since", "1h", "a").out.count("\n") == 5
    assert logged.ok("logs", "--since", "2031-01-01", "a").out == ""
    assert logged.ok("logs", "--since", "2020-01-01T10:00", "a").out.count("\n") == 5


def test_logs_of_events(logged):
    raw = logged.ok("logs", "mika").out
    assert '"kind": "started"' in raw
    assert '"texts"' in logged.log("mika"), "for other terminals, which may be Chinese"
    assert '"texts"' not in raw, "nobody else has a use for it"
    assert all(json.loads(line)["kind"] for line in raw.splitlines())


def test_logs_before_the_first_run(project):
    this = project(scripts={"web": SLEEP})
    assert this.ok("logs").out == ""
    assert not (this.folder / ".mika").exists()


def test_logs_follow(project):
    code = "import pathlib, time\nfor n in range(10_000):\n    print('tick', n, flush=True)\n    time.sleep(0.05)\n"
    this = project(scripts={"web": code})
    this.up()
    follow = this.start_mika("logs", "-f", "-n", "1")
    follow.wait_for("tick")
    first = int(follow.output().split()[1])
    follow.wait_for(f"tick {first + 10}\n")
    numbers = [int(line.split()[1]) for line in follow.output().splitlines()]
    assert numbers == list(range(first, first + len(numbers)))
    if os.name != "nt":
        follow.send(signal.SIGINT)
        assert follow.wait() == 130
        assert "Traceback" not in follow.output()


@posix_only
def test_logs_follow_sees_a_process_that_comes_later(project):
    this = project(scripts={"web": SLEEP, "late": "import time\nprint('late here', flush=True)\ntime.sleep(600)\n"})
    this.up("web")
    follow = this.start_mika("logs", "-f")
    follow.wait_for("here")
    this.ok("restart", "web")
    poll_until(lambda: follow.output().count("here") == 2, DEADLINE, "the line of the second run")


@posix_only
def test_logs_into_a_pipe_that_closes(project):
    this = project(
        scripts={"job": "for n in range(100_000): print('line', n)\n"}, toml='[process.job]\nrestart = "never"\n'
    )
    this.ok("up", "--json")
    read, write = os.pipe()
    logs = this.start_mika("logs", stdout=write)
    os.close(write)
    assert os.read(read, 10)
    os.close(read)
    assert logs.wait() == 0
    assert logs.output() == ""  # no complaint on standard error
