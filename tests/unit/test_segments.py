"""The segment writer: byte-exact, bounded, and it survives a disk that is full."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mika.guard.segments import (
    BREAK,
    RECORD,
    SegmentWriter,
    segment_numbers,
    segment_path,
    split_file_name,
)

from tests.kit.oddfiles import IN_PLACE_OF_A_FILE


def stored(directory: Path, name: str) -> bytes:
    numbers = segment_numbers(str(directory), name)
    return b"".join(Path(segment_path(str(directory), name, number)).read_bytes() for number in numbers)


def records(directory: Path, name: str, number: int = 0) -> list[tuple[float, int]]:
    return list(RECORD.iter_unpack(Path(segment_path(str(directory), name, number, ".idx")).read_bytes()))


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("worker.log", ("worker", 0)),
        ("worker.3.log", ("worker", 3)),
        ("worker@2.log", ("worker.2", 0)),
        ("worker@2.12.log", ("worker.2", 12)),
        ("worker.idx", None),
        ("worker.x.log", None),
        ("worker.1.2.log", None),
        ("worker.01.log", None),
        ("worker.\u00b2.log", None),
        (".log", None),
    ],
)
def test_file_names(file_name, expected):
    assert split_file_name(file_name) == expected


def test_every_byte_in_every_cut(tmp_path):
    """Random chunks over many segments and many runs come back as the same bytes."""
    random.seed(7)
    digest = hashlib.sha256()
    parts = [b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\x1b[31m", "\u2028".encode(), b"x" * 700, b"y" * 5000]
    for _ in range(5):
        writer = SegmentWriter(str(tmp_path), "a", 64_000_000)
        writer._segment_bytes = 40_000  # many segments, none deleted
        for _ in range(200):
            chunk = b"".join(random.choices(parts, k=random.randint(1, 12)))
            writer.write(chunk)
            digest.update(chunk)
        writer.close()
        assert writer.lost == 0
    assert len(segment_numbers(str(tmp_path), "a")) > 50
    assert hashlib.sha256(stored(tmp_path, "a")).digest() == digest.digest()


@pytest.mark.parametrize("lines_a_chunk", [3, 3000])
def test_segments_begin_with_a_whole_line(tmp_path, lines_a_chunk):
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    writer._segment_bytes = 5_000
    for number in range(9000 // lines_a_chunk):
        writer.write(b"line %d\n" % number * lines_a_chunk)
    writer.close()
    numbers = segment_numbers(str(tmp_path), "a")
    assert len(numbers) > 3
    for number in numbers:
        data = Path(segment_path(str(tmp_path), "a", number)).read_bytes()
        assert data.startswith(b"line ")
        assert data.endswith(b"\n")


def test_bound_on_disk_and_nothing_renamed(tmp_path):
    bound = 40_000
    writer = SegmentWriter(str(tmp_path), "a", bound)
    for number in range(3000):
        writer.write(b"%06d %s\n" % (number, b"x" * 60))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bound
    writer.close()
    numbers = segment_numbers(str(tmp_path), "a")
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] > 1
    assert stored(tmp_path, "a").endswith(b"002999 " + b"x" * 60 + b"\n")
    assert len(stored(tmp_path, "a")) > bound // 2
    # Each index knows how much was written before its segment, even what is deleted.
    assert records(tmp_path, "a", numbers[-1])[0][1] + Path(
        segment_path(str(tmp_path), "a", numbers[-1])
    ).stat().st_size == 3000 * len(b"%06d %s\n" % (0, b"x" * 60))


def test_a_smaller_bound_takes_effect_at_once(tmp_path):
    writer = SegmentWriter(str(tmp_path), "a", 400_000)
    writer.write(b"x" * 99 * 4000)
    writer.close()
    writer = SegmentWriter(str(tmp_path), "a", 20_000)
    writer.write(b"new\n")
    writer.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000
    assert stored(tmp_path, "a").endswith(b"new\n")


def test_a_new_run_continues_the_last_segment_and_marks_the_break(tmp_path):
    for text in (b"no newline", b"second run\n"):
        writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
        writer.write(text)
        writer.close()
    assert segment_numbers(str(tmp_path), "a") == [0]
    assert stored(tmp_path, "a") == b"no newlinesecond run\n"
    assert [offset for _, offset in records(tmp_path, "a")] == [0, BREAK, BREAK | len(b"no newline")]


def test_no_more_than_ten_records_a_second(tmp_path):
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    for _ in range(1000):
        writer.write(b"x\n")
    writer.close()
    times = [time for time, _ in records(tmp_path, "a")[1:]]
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times))


def test_a_torn_index_is_cut_to_whole_records(tmp_path):
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    writer.write(b"one\n")
    writer.close()
    with (tmp_path / "a.idx").open("ab") as file:
        file.write(b"torn")
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    writer.write(b"two\n")
    writer.close()
    assert [offset for _, offset in records(tmp_path, "a")] == [0, BREAK, BREAK | 4]


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no open file")
def test_a_deleted_or_emptied_log_is_begun_again(tmp_path):
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    for number, damage in enumerate((Path.unlink, lambda path: path.write_bytes(b""))):
        writer.write(b"before\n")
        damage(tmp_path / (f"a.{number}.log" if number else "a.log"))
        writer._last_check = 0  # as if 0.1 s had passed
        os.utime(tmp_path, (0, 0))  # nor is anybody still deleting
        writer.write(b"after\n")
        assert (tmp_path / f"a.{number + 1}.log").read_bytes() == b"after\n"
    writer.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no open file")
@pytest.mark.parametrize("deleted", ["", ".mika", ".mika/logs"])
def test_a_folder_that_was_deleted_does_not_come_back_but_for_that_of_the_logs_alone(tmp_path, deleted):
    logs = tmp_path / "project" / ".mika" / "logs"
    logs.mkdir(parents=True)
    writer = SegmentWriter(str(logs), "a", 1 << 20)
    writer.write(b"before\n")
    gone = tmp_path / "project" / deleted
    shutil.rmtree(gone)
    writer._last_check = 0  # as if 0.1 s had passed
    writer.write(b"while it is being deleted\n")
    assert not gone.exists()
    os.utime(gone.parent, (0, 0))  # as if half a second had passed
    writer._last_check = 0
    writer.write(b"after\n")
    writer.close()
    assert gone.exists() == (deleted == ".mika/logs")
    assert stored(logs, "a") == (b"after\n" if gone.exists() else b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no open file")
def test_a_log_is_not_begun_again_in_a_folder_that_is_being_deleted(tmp_path):
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    writer.write(b"before\n")
    for path in tmp_path.iterdir():
        path.unlink()
    writer._last_check = 0  # as if 0.1 s had passed
    writer.write(b"after\n")
    tmp_path.rmdir()
    writer.close()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_files_are_private(tmp_path):
    writer = SegmentWriter(str(tmp_path / "logs"), "a", 1 << 20)
    writer.write(b"secret\n")
    writer.close()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "logs").iterdir()} == {0o600}
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("suffix", [".log", ".idx"])
@pytest.mark.parametrize("make", IN_PLACE_OF_A_FILE)
def test_what_is_no_file_is_passed_over(tmp_path, make, suffix):
    """To open a FIFO for writing blocks until somebody reads it, and with it the guard and its service."""
    for number in (0, 1):
        make(Path(segment_path(str(tmp_path), "a", number, suffix)))
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    writer.write(b"kept\n")
    writer.close()
    assert (writer.error, writer.lost) == (None, 0)
    assert (tmp_path / "a.2.log").read_bytes() == b"kept\n"


@pytest.mark.parametrize(
    "index",
    [
        random.Random(5).randbytes(16 * 20),
        RECORD.pack(1e9, 1 << 63 | 7) * 3,
        RECORD.pack(float("nan"), 0) * 3,
        RECORD.pack(1e9, 0) + RECORD.pack(1e9, BREAK | 1000),  # of a log that was longer
        RECORD.pack(1e9, (1 << 64) - 1),  # struct.error in the next header
        b"",
    ],
    ids=["random", "far offset", "no time", "longer log", "largest", "empty"],
)
def test_a_run_does_not_go_on_with_an_index_that_does_not_fit(tmp_path, index):
    (tmp_path / "a.log").write_bytes(b"before\n")
    (tmp_path / "a.idx").write_bytes(index)
    writer = SegmentWriter(str(tmp_path), "a", 1 << 20)
    for _ in range(2):
        writer.write(b"after\n")
        writer._open_next()
    writer.close()
    assert stored(tmp_path, "a") == b"before\nafter\nafter\n"
    assert (tmp_path / "a.log").read_bytes() == b"before\n"
    assert records(tmp_path, "a", 1)[0][1] == 0
    assert records(tmp_path, "a", 2)[0][1] == len(b"after\n")


def test_a_log_that_cannot_be_opened_is_counted_and_tried_again(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be", encoding="utf-8")
    writer = SegmentWriter(str(tmp_path / "logs"), "a", 1 << 20)
    writer.write(b"lost\n")
    writer.write(b"lost\n")
    assert writer.error
    assert writer.lost == 10
    (tmp_path / "logs").unlink()
    writer._last_open = 0  # as if half a second had passed
    writer.write(b"kept\n")
    writer.close()
    assert writer.error is None
    assert stored(tmp_path / "logs", "a") == b"kept\n"


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_disk_full_loses_counted_bytes_and_recovers(tmp_path):
    """RLIMIT_FSIZE stands in for a full disk: a short write first, then an error on each write."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "launcher")!r})
from mika.guard.segments import SegmentWriter
writer = SegmentWriter({str(tmp_path)!r}, "a", 1 << 20)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for _ in range(3):
    writer.write(b"x" * 599 + b"\\n")
print(writer.lost, writer.error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write(b"back\\n")
print(writer.lost, writer.error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = result.stdout.splitlines()
    assert first.startswith("800 ")
    assert first.split(" ", 1)[1] == os.strerror(27)  # EFBIG
    assert second == "800 None"
    assert stored(tmp_path, "a") == b"x" * 599 + b"\n" + b"x" * 400 + b"back\n"
    assert records(tmp_path, "a")[-1][1] == BREAK | 1000
