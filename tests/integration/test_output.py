"""What a terminal, a pipe and `mika logs` see of the output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.programs import SLEEP
from tests.kit.project import Project

SAID = [
    '{"event": "started", "level": "info", "workflow_id": "order-17"}',
    '{"event": "slow", "level": "warning", "workflow_id": "order-18"}',
    "2026-11-28 03:30:18,123 ERROR broken",
    "Traceback (most recent call last):",
    "INFO:     fine again",
]
LINES = f"print({chr(10).join(SAID)!r})\n"

# --- output -----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_every_line(project):
    lines = 20_000
    code = f"import sys\nfor n in range({lines}): print('line', n, '中')\nsys.exit(0)\n"
    this = project(scripts={"job": code}, toml='[process.job]\nrestart = "never"\n')
    result = this.mika("up")
    assert result.code == 0
    got = [line for line in result.out.splitlines() if line.startswith("job | line")]
    assert got == [f"job | line {n} 中" for n in range(lines)]


@posix_only
def test_a_reader_that_stops_reading_blocks_nobody(project):
    code = "import time\nfor n in range(20_000): print('x' * 80)\nprint('all written', flush=True)\ntime.sleep(600)\n"
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


def test_any_console_encoding(project):
    this = project(scripts={"job": ""}, toml='[process.job]\nrestart = "never"\n')
    this.write("job.py", "import sys\nsys.stdout.buffer.write('emoji \U0001f600 中文\\n'.encode())\n")
    for encoding, args in {"ascii": "up", "gbk": "logs", "latin-1": "logs"}.items():
        result = this.mika(args, env={"PYTHONIOENCODING": encoding}, process=True)
        assert result.code == 0, str(result)
        assert "emoji" in result.out
        assert "Traceback" not in result.text


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _shared_logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    code = "import time\nfor n in range(5):\n    print('{0}', n, flush=True)\n    time.sleep(0.02)\n"
    with Project(
        tmp_path_factory.mktemp("logged"),
        scripts={"a": code.format("red"), "longer": code.format("\\x1b[31mblue\\x1b[0m"), "lines": LINES},
        toml="".join(f'[process.{name}]\nrestart = "never"\n' for name in ("a", "longer", "lines")),
    ) as this:
        out = this.ok("up").out
        assert "a      | red 0\n" in out, "prefixes are aligned"
        assert "longer | blue 0\n" in re.sub(r"\x1b\[\d*m", "", out)
        yield this


@pytest.fixture
def logged(_shared_logged: Project) -> Project:
    """A stack that ran and is down: its logs stay, and a test only reads them."""
    return _shared_logged


def test_logs_when_nothing_runs(logged):
    lines = [line for line in logged.ok("logs").out.splitlines() if not line.startswith("lines ")]
    assert sorted(lines) == [f"a      | red {n}" for n in range(5)] + [f"longer | blue {n}" for n in range(5)]
    assert logged.ok("logs", "a").out.splitlines() == [f"red {n}" for n in range(5)]
    for name in ("a", "longer"):
        assert [line[-1] for line in lines if line.split()[0] == name] == list("01234"), "in the order of time"


def test_logs_the_last_lines(logged):
    assert logged.ok("logs", "-n", "2", "a").out.splitlines() == ["red 3", "red 4"]
    assert logged.ok("logs", "-n", "0", "a").text == ""
    last = logged.ok("logs", "-n", "1", "a", "longer").out.splitlines()
    assert sorted(last) == ["a      | red 4", "longer | blue 4"], "`-n`: the last N lines of each"


def test_logs_grep(logged):
    assert sorted(logged.ok("logs", "--grep", "[12]$", "a", "longer").out.splitlines()) == [
        "a      | red 1",
        "a      | red 2",
        "longer | blue 1",
        "longer | blue 2",
    ]
    assert logged.ok("logs", "--grep", "^blue 3").out == "longer | blue 3\n"  # escapes do not hide it


def test_logs_that_are_chosen_by_what_they_say(logged):
    told = logged.ok("logs", "--level", "warn", "lines").out
    assert told.splitlines() == SAID[1:4], "the traceback belongs to the error"
    assert logged.ok("logs", "--level", "error", "-n", "1", "lines").out.splitlines() == SAID[3:4]
    assert logged.ok("logs", "--workflow", "rder-17", "lines").out.splitlines() == SAID[:1]
    unknown = logged.mika("logs", "--workflow", "order-19", "lines")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("mika: no line of these logs names order-19\n")
    assert logged.ok("logs", "--grep", "BROKEN", "-i", "lines").out.splitlines() == SAID[2:3]
    assert logged.ok("logs", "--until", "1h", "lines").out == ""
    assert logged.ok("logs", "--until", "0s", "--since", "1h", "lines").out.splitlines() == SAID
    readable = logged.ok("logs", "--pretty", "lines").out.splitlines()
    assert readable[0].endswith("  INFO  started  order-17")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Traceback .*", readable[3])
    events = logged.ok("logs", "mika", "--pretty").out
    assert re.search(r"^\d\d:\d\d:\d\d a +started \(pid \d+\)$", events, re.MULTILINE), events


def test_logs_since(logged):
    assert logged.ok("logs", "--since", "1h", "a").out.count("\n") == 5
    nothing = logged.ok("logs", "--since", "2031-01-01", "a")
    assert (nothing.out, nothing.err) == ("", "mika: no line of these logs matches: a\n")
    assert logged.ok("logs", "--since", "2020-01-01T10:00", "a").out.count("\n") == 5


def test_logs_of_events(logged):
    raw = logged.ok("logs", "mika").out
    assert '"kind": "started"' in raw
    assert '"texts"' in logged.log("mika"), "for other terminals, which may be Chinese"
    assert '"texts"' not in raw, "nobody else has a use for it"
    assert all(json.loads(line)["kind"] for line in raw.splitlines())


def test_logs_before_the_first_run(project):
    this = project(scripts={"web": SLEEP})
    none = this.ok("logs")
    assert (none.out, none.err) == ("", "mika: there are no logs here yet\n")
    assert not (this.folder / ".mika").exists()


def test_logs_of_a_process_that_has_written_nothing(project):
    this = project(scripts={"web": SLEEP, "quiet": "import time\ntime.sleep(600)\n"})
    this.up()
    silent = this.ok("logs", "quiet")
    assert (silent.out, silent.err) == ("", "mika: quiet has written nothing yet\n")
    assert "no log is named 'quite'" in this.error("logs", "quite", code=2).err
    (this.folder / "Procfile").unlink()
    said = this.mika("restart", "web").err
    assert said == (
        f"nothing of changed settings is taken: Procfile: not found in {this.folder};"
        " write one with a line for each process, or give its folder with -C\n"
    )


def test_logs_follow(project):
    ticks = "print('here')\nfor n in range(100_000):\n    print('tick', n, flush=True)\n    time.sleep(0.01)\n"
    code = f"import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n{ticks}"  # it ends without a word
    this = project(scripts={"web": code, "another": SLEEP})
    this.up("web")
    poll_until(lambda: "tick" in this.log("web"), DEADLINE, "the first line")
    follow = this.start_mika("logs", "-f", "-n", "1")
    follow.wait_for("tick")
    first = int(follow.output().split()[1])
    follow.wait_for(f"tick {first + 100}\n")
    numbers = [int(line.split()[1]) for line in follow.output().splitlines()]
    assert numbers == list(range(first, first + len(numbers))), "none is lost between the last lines and new ones"
    if os.name != "nt":
        this.ok("restart", "web")
        follow.wait_for("here")  # of the process that came later
        follow.send(signal.SIGINT)
        assert follow.wait() == 130
        assert "Traceback" not in follow.output()


def test_logs_end_although_the_process_writes_all_the_time(project):
    this = project(scripts={"web": "while True: print('INFO:root:' + 'x' * 200)\n"})
    this.up()
    for options in ((), ("--grep", "no such line"), ("--since", "1h", "-n", "3", "--level", "info")):
        this.ok("logs", "web", *options, timeout=30)


def test_logs_follow_shows_what_is_not_finished_after_a_moment(project):
    this = project(scripts={"web": "import time\nprint('sure? ', end='', flush=True)\ntime.sleep(600)\n"})
    this.up("web")
    follow = this.start_mika("logs", "-f")
    follow.wait_for("sure? \n")


@posix_only
def test_logs_into_a_pipe_that_closes(project):
    this = project(
        scripts={"job": "for n in range(20_000): print('line', n)\n"}, toml='[process.job]\nrestart = "never"\n'
    )
    this.ok("up", "--json")
    read, write = os.pipe()
    logs = this.start_mika("logs", stdout=write)
    os.close(write)
    assert os.read(read, 10)
    os.close(read)
    assert logs.wait() == 0
    assert logs.output() == ""  # no complaint on standard error
