"""The reader of the log segments: tail, since, follow, merge."""

from __future__ import annotations

import itertools
import random
import time as clock
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from mika.guard import segments
from mika.guard.segments import SegmentWriter
from mika.project import logs
from mika.project.logs import BLOCK, MAX_LINE, Follower, Line, decode, end, merged, names, read_merged, read_tail

from tests.kit.oddfiles import IN_PLACE_OF_A_FILE


def read_since(directory: Path, name: str, since: float) -> Iterator[Line]:
    return (line for _, line in read_merged(directory, [name], since=since))


class Log:
    """A writer with a clock that the test sets."""

    def __init__(self, directory: Path, monkeypatch, name: str = "svc", segment_bytes: int = 1 << 20) -> None:
        self.directory, self.name, self.now = directory, name, 1000.0
        self._monkeypatch, self._segment_bytes = monkeypatch, segment_bytes
        self.restart()

    def restart(self) -> None:
        """A new run of the service."""
        self.writer = SegmentWriter(str(self.directory), self.name, 1 << 30)
        self.writer._segment_bytes = self._segment_bytes

    def write(self, data: bytes, at: float | None = None) -> None:
        self.now = self.now + 1 if at is None else at
        with self._monkeypatch.context() as patch:
            patch.setattr(segments.time, "time", lambda: self.now)
            self.writer.write(data)

    def follow(self, **options) -> Follower:
        return Follower(self.directory, self.name, **options)

    def numbers(self) -> list[int]:
        return [segment.number for segment in logs.segments(self.directory, self.name)]

    def delete(self, number: int) -> int:
        path = Path(segments.segment_path(str(self.directory), self.name, number))
        size = path.stat().st_size
        path.unlink()
        path.with_suffix(".idx").unlink()
        return size


@pytest.fixture
def log(tmp_path, monkeypatch):
    return Log(tmp_path, monkeypatch)


def data(lines) -> list[bytes]:
    return [line.data for line in lines]


def joined(lines) -> bytes:
    return b"".join(line.data + b"\n" * line.is_complete for line in lines)


def drain(follower: Follower) -> bytes:
    read = b""
    while lines := follower.poll():
        read += joined(lines)
    return read + joined(follower.flush())


def test_names(tmp_path):
    for file in ("api.log", "api.1.log", "worker@2.3.log", "mika-events.log", "api.idx", "note.txt"):
        (tmp_path / file).touch()
    assert names(tmp_path) == ["api", "mika-events", "worker.2"]
    assert names(tmp_path / "missing") == []


def test_follow_gives_whole_lines_as_they_come(log):
    follower = log.follow()
    assert follower.poll() == []
    log.write(b"one\ntw")
    assert follower.poll() == [Line(1001.0, b"one", True)]
    log.write(b"o\n")
    assert follower.poll() == [Line(1001.0, b"two", True)]
    log.write(b"three")
    assert follower.poll() == []
    assert follower.flush() == [Line(1003.0, b"three", False)]
    log.write(b"\r\n\n\x0bfour\x85\n")
    assert data(follower.poll()) == [b"\r", b"", b"\x0bfour\x85"]


def test_a_new_run_never_continues_a_line(log):
    follower = log.follow()
    log.write(b"cut of")
    assert follower.poll() == []
    log.restart()
    log.write(b"fresh\n")
    assert follower.poll() == [Line(1001.0, b"cut of", False), Line(1002.0, b"fresh", True)]
    assert data(read_tail(log.directory, "svc", 5)) == [b"cut of", b"fresh"]
    assert data(read_tail(log.directory, "svc", 1)) == [b"fresh"]


def test_a_new_run_in_a_new_segment_never_continues_a_line(log):
    log.write(b"x" * 999_990)
    log.restart()
    log.write(b"y" * 999_990 + b"\n")
    log.restart()
    log.write(b"z" * 100_000 + b"\n")
    assert len(log.numbers()) > 1
    starts = [line.data[:1] for line in read_since(log.directory, "svc", 0)]
    assert "".join(key.decode() for key, _ in itertools.groupby(starts)) == "xyz"


def test_random_bytes_across_segments(tmp_path, monkeypatch):
    """What the reader gives is what was written, whatever the cuts, while it is being written."""
    random.seed(11)
    log = Log(tmp_path, monkeypatch, segment_bytes=20_000)
    parts = [b"\n", b"\r\n", b"\0", b"\xff", b"line", b"x" * 900, "\u2028".encode(), b"y" * 100_000]
    follower, written, read = log.follow(), b"", b""
    for _ in range(500):
        chunk = b"".join(random.choices(parts, weights=[9, 3, 1, 1, 9, 2, 1, 0.05], k=random.randint(1, 9)))
        log.write(chunk, at=log.now + random.random() / 5)
        written += chunk
        if random.random() < 0.3:
            read += joined(follower.poll())
    read += drain(follower)
    assert len(log.numbers()) > 20
    assert read == written
    assert drain(log.follow()) == written
    assert follower.skipped_bytes == 0


def test_a_long_line_comes_in_pieces(log):
    visible = bytes(32 + value % 95 for value in range(256))
    line = random.Random(1).randbytes(10_000_000).translate(visible)
    log.write(line + b"\n" + b"z" * MAX_LINE + b"\nshort\n")
    follower = log.follow()
    lines = []
    while batch := follower.poll():
        assert sum(len(one.data) for one in batch) <= BLOCK + MAX_LINE
        lines += batch
    assert max(len(one.data) for one in lines) == MAX_LINE
    assert [line.is_complete for line in lines] == [False] * (10_000_000 // MAX_LINE) + [True] * 3
    assert joined(lines) == line + b"\n" + b"z" * MAX_LINE + b"\nshort\n"


def test_deleted_segments_are_counted_to_the_byte(tmp_path, monkeypatch):
    log = Log(tmp_path, monkeypatch, segment_bytes=3000)
    log.write(b"first\nhalf")
    follower = log.follow()
    assert data(follower.poll()) == [b"first"]
    for number in range(1000):
        log.write(b"%d %s\n" % (number, b"x" * 40))
    gone = log.numbers()[:4]
    size = sum(log.delete(number) for number in gone)
    lines = []
    while batch := follower.poll():
        lines += batch
    assert follower.skipped_bytes == size - len(b"first\nhalf")
    assert lines[0] == Line(1001.0, b"half", False)  # not glued to what comes after the gap
    assert lines[-1].data.startswith(b"999 ")


def test_all_logs_deleted_and_a_new_run(tmp_path, monkeypatch):
    log = Log(tmp_path, monkeypatch, segment_bytes=3000)
    for _ in range(100):
        log.write(b"x" * 99 + b"\n")
    follower = log.follow(tail=0)
    log.writer.close()
    for number in log.numbers():
        log.delete(number)
    assert follower.poll() == []
    log.restart()
    log.write(b"new\n")
    assert data(follower.poll()) == [b"new"]


def test_tail(tmp_path, monkeypatch):
    log = Log(tmp_path, monkeypatch, segment_bytes=3000)
    lines = [b"%d %s" % (number, b"x" * (number % 200)) for number in range(500)]
    for line in lines:
        log.write(line + b"\n")
    assert len(log.numbers()) > 5
    for count in (0, 1, 2, 30, 499, 500, 600):
        assert data(read_tail(tmp_path, "svc", count)) == lines[len(lines) - min(count, 500) :], count
    log.write(b"unfinished")
    assert data(read_tail(tmp_path, "svc", 2)) == [lines[-1], b"unfinished"]
    assert read_tail(tmp_path, "missing", 3) == []


def test_follow_from_the_tail_misses_nothing(log):
    log.write(b"".join(b"%d\n" % number for number in range(100)))
    follower, end = log.follow(tail=3), log.follow(tail=0)
    log.write(b"new\n")
    assert data(follower.poll()) == [b"97", b"98", b"99", b"new"]
    assert data(end.poll()) == [b"new"]


def test_tail_zero_after_a_run_that_ended_without_newline(log):
    log.write(b"old and cut of")
    follower = log.follow(tail=0)
    log.restart()
    log.write(b"new\n")
    assert data(follower.poll()) == [b"new"]


def test_since(tmp_path, monkeypatch):
    log = Log(tmp_path, monkeypatch, segment_bytes=1500)
    for number in range(200):
        log.write(b"%d at %d\n" % (number, 2000 + number), at=2000.0 + number)
    assert len(log.numbers()) > 2
    for since in (0, 2000, 2001, 2100, 2198.5, 2199):
        expected = [b"%d at %d" % (n, 2000 + n) for n in range(200) if 2000 + n >= since]
        assert data(read_since(tmp_path, "svc", since)) == expected, since
    assert data(read_since(tmp_path, "svc", 2300)) == []
    follower = log.follow(since=2300)
    log.write(b"later\n", at=2400)
    assert follower.poll() == [Line(2400, b"later", True)]
    assert follower.skipped_bytes == 0


def test_since_is_good_to_a_tenth_of_a_second_and_gives_whole_lines(log):
    for tenth in range(100):
        log.write(b"line %d " % tenth, at=3000 + tenth * 0.03)
        log.write(b"end\n", at=3000 + tenth * 0.03 + 0.02)
    first = next(iter(read_since(log.directory, "svc", 3001.5)))
    assert first.data.endswith(b" end")
    assert first.data.startswith(b"line ")
    assert 3001.3 <= 3000 + int(first.data.split()[1]) * 0.03 <= 3001.5


def test_without_index(log):
    """The index is a convenience; the log is readable without it."""
    log.write(b"one\ntwo\n")
    log.writer.close()
    (log.directory / "svc.idx").unlink()
    lines = read_tail(log.directory, "svc", 5)
    assert data(lines) == [b"one", b"two"]
    assert abs(lines[0].time - clock.time()) < 3600
    assert data(read_since(log.directory, "svc", 0)) == [b"one", b"two"]
    (log.directory / "svc.idx").write_bytes(b"torn")
    assert data(read_tail(log.directory, "svc", 1)) == [b"two"]


def test_a_damaged_index_costs_the_times_and_nothing_else(log):
    log.write(b"one\ntwo\n")
    log.write(b"three\n")
    log.writer.close()
    records = [
        segments.RECORD.pack(moment, offset)
        for moment, offset in ((float("nan"), 0), (float("inf"), 1), (1e300, 4), (-1e300, 4), (1e9, 1 << 62))
    ]
    for damage in (b"".join(records), *(random.Random(seed).randbytes(333) for seed in range(50))):
        (log.directory / "svc.idx").write_bytes(damage)
        for lines in (read_tail(log.directory, "svc", 9), list(read_since(log.directory, "svc", 0))):
            assert joined(lines) == b"one\ntwo\nthree\n"
            for line in lines:
                datetime.fromtimestamp(line.time).astimezone()
    good = segments.RECORD.pack(1e9, 0) + segments.RECORD.pack(1e9, segments.BREAK)
    (log.directory / "svc.idx").write_bytes(good + b"".join(records) + segments.RECORD.pack(2e9, 8))
    assert [line.time for line in read_tail(log.directory, "svc", 9)] == [1e9, 1e9, 2e9]


@pytest.mark.parametrize("make", IN_PLACE_OF_A_FILE)
def test_what_is_no_file_is_not_read(log, make):
    log.write(b"one\n")
    log.writer.close()
    (log.directory / "svc.idx").unlink()
    for name in ("svc.idx", "svc.1.log", "other.log"):
        make(log.directory / name)
    assert names(log.directory) == ["svc"]
    assert logs.non_files(log.directory) == [log.directory / "other.log", log.directory / "svc.1.log"]
    assert data(read_tail(log.directory, "svc", 5)) == data(read_since(log.directory, "svc", 0)) == [b"one"]
    assert read_tail(log.directory, "other", 5) == []
    follower = log.follow(tail=0)
    assert follower.poll() == []


def test_merge_by_time(tmp_path, monkeypatch):
    api, worker = Log(tmp_path, monkeypatch, "api"), Log(tmp_path, monkeypatch, "worker.1")
    for second in range(6):
        (api, worker)[second % 2].write(b"%d\n" % second, at=5000.0 + second)
    both = ["api", "worker.1"]
    assert [(name, line.data) for name, line in read_merged(tmp_path, both)] == [
        (both[second % 2], b"%d" % second) for second in range(6)
    ]
    assert [line.data for _, line in read_merged(tmp_path, both, tail=2)] == [b"2", b"3", b"4", b"5"]
    assert [line.data for _, line in read_merged(tmp_path, both, since=5004)] == [b"4", b"5"]


def test_what_is_written_faster_than_it_is_read_has_an_end(log, monkeypatch):
    monkeypatch.setattr(logs, "BLOCK", 4)
    log.write(b"1\n2\n3\n4\n")
    read = []
    for _, line in read_merged(log.directory, ["svc"]):
        read.append(line.data)
        log.write(b"more\n" * 2)
        assert len(read) < 99
    assert read[:4] == [b"1", b"2", b"3", b"4"]


def test_who_reads_on_misses_nothing_and_gets_each_line_whole(log):
    log.write(b"1\n2\n3\nhal")
    followers = {"svc": log.follow(tail=2)}
    assert data(line for _, line in merged(followers, tail=2, is_end=False)) == [b"3"]
    log.write(b"f\n4\n")
    assert data(followers["svc"].poll()) == [b"half", b"4"]


def test_a_terminal_that_cannot_keep_up_skips_and_counts(tmp_path, monkeypatch):
    log = Log(tmp_path, monkeypatch, segment_bytes=20_000)
    log.write(b"read\npart")
    follower = log.follow()
    assert data(follower.poll()) == [b"read"]
    log.write(b"ial\n")
    assert follower.skip_to_end_if_behind(100) == 0
    for number in range(2000):
        log.write(b"%d %s\n" % (number, b"x" * 50))
    log.write(b"unfini")
    assert follower.unread_bytes() > 100_000
    assert follower.skip_to_end_if_behind(1000) == 2001
    assert follower.unread_bytes() == 0
    log.write(b"shed\nnext\n")
    assert data(follower.poll()) == [b"unfinished", b"next"]
    assert follower.skipped_bytes == 0


def test_skip_counts_lines_that_a_restart_cut(log):
    follower = log.follow()
    for _ in range(3):
        log.write(b"cut of")
        log.restart()
    log.write(b"whole\n")
    assert follower.skip_to_end_if_behind(1) == 4
    assert follower.poll() == []


def test_no_file_stays_open(log):
    log.write(b"one\n")
    follower = log.follow()
    follower.poll()
    log.writer.close()
    assert [file.path for file in psutil.Process().open_files() if file.path.startswith(str(log.directory))] == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("中文 🎉".encode(), "中文 🎉"),
        ("连接被拒绝".encode("gbk"), "连接被拒绝"),
        (b"caf\xe9 bar", "caf\ufffd bar"),
        (b"\xff\xfe\0", "\ufffd\ufffd\0"),
    ],
)
def test_decode(raw, text, monkeypatch):
    monkeypatch.setattr(logs.locale, "getencoding", lambda: "utf-8")
    assert decode(raw) == text


def test_decode_by_the_locale(monkeypatch):
    monkeypatch.setattr(logs.locale, "getencoding", lambda: "cp936")
    assert decode("镕".encode("gbk")) == "镕"  # not in GB2312
    monkeypatch.setattr(logs.locale, "getencoding", lambda: "no-such-encoding")
    assert decode(b"\xff") == "\ufffd"


def test_what_was_written_after_a_position_does_not_depend_on_the_clock(log):
    assert data(read_tail(log.directory, "svc", 9, after=end(log.directory, "svc"))) == []
    log.write(b"one\ntwo\n", at=2e9)
    position = end(log.directory, "svc")
    assert data(read_tail(log.directory, "svc", 9, after=position)) == []
    log.write(b"three\nfour\n", at=1e9)  # the clock was set back
    assert data(read_tail(log.directory, "svc", 9, after=position)) == [b"three", b"four"]
    assert data(read_tail(log.directory, "svc", 1, after=position)) == [b"four"]
