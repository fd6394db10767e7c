"""The `.mika/` folder: private, with a lock that the kernel frees, in any folder."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from mika.control.address import control_address
from mika.errors import UsageError
from mika.project.folder import KEPT_MARKS, ProjectDir, RunState, write_private

from tests.kit.machine import ROOT, poll_until, posix_only

STATE = RunState(1, "ab", "/run/x.sock", "secret", 1.5, "embedded")
HOLD = """
import pathlib, sys, time
from mika.project.folder import ProjectDir
with ProjectDir(pathlib.Path(sys.argv[1])).try_lock() as free:
    print(free, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> ProjectDir:
    this = ProjectDir(tmp_path)
    this.create()
    return this


@posix_only
def test_folders_that_others_could_read_are_closed(tmp_path: Path):
    this, elsewhere = ProjectDir(tmp_path / "project"), tmp_path / "elsewhere"
    for folder in (this.data, elsewhere):
        folder.mkdir(parents=True)
    this.logs.symlink_to(elsewhere)
    for folder in (this.root, this.data, elsewhere):
        folder.chmod(0o755)
    this.create()
    assert {folder.stat().st_mode & 0o777 for folder in (this.root, this.data, this.run)} == {0o700}
    assert elsewhere.stat().st_mode & 0o777 == 0o755, "what a link leads to is not mika's"


@pytest.mark.parametrize(
    ("change", "addresses"),
    [
        ({"addresses": None}, {}),
        ({"addresses": ["a"]}, {}),
        ({"addresses": {"API_PORT": 5}}, {"API_PORT": "5"}),
        ({"of a newer mika": 1}, {}),
    ],
)
def test_a_state_of_another_version_can_be_read(folder, change, addresses):
    (folder.run / "state.json").write_text(json.dumps(asdict(STATE) | change), encoding="utf-8")
    assert folder.read_state() == replace(STATE, addresses=addresses)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix_only
def test_everything_is_for_this_user_alone(folder):
    before = os.umask(0)
    try:
        other = ProjectDir(folder.project / "other")
        other.project.mkdir()
        other.create()
        other.write_state(STATE)
        other.add_mark("a")
        other.remember_backend("none")
        with other.try_lock():
            pass
    finally:
        os.umask(before)
    for path in (other.root, other.logs, other.data, other.run):
        assert mode(path) == 0o700
    for path in (*other.run.iterdir(), *other.data.iterdir()):
        assert mode(path) == 0o600, path


def test_git_ignores_it(folder):
    ignore = folder.root / ".gitignore"
    assert ignore.read_text() == "*\n"
    ignore.write_text("mine\n")
    folder.create()
    assert ignore.read_text() == "mine\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / ".mika").write_text("a file")
    with pytest.raises(UsageError, match=r"\.mika: cannot be written: ") as caught:
        ProjectDir(tmp_path).create()
    assert "\n" not in caught.value.message
    assert "move the file that is there away" in caught.value.hint


def test_a_full_disk_is_no_matter_of_rights(tmp_path, monkeypatch):
    def refuses(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuses)
    with pytest.raises(UsageError) as caught:
        ProjectDir(tmp_path).create()
    assert caught.value.hint == "free some space on that disk"


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_the_lock_is_held_once(folder):
    assert not folder.is_locked()
    with folder.try_lock() as free:
        assert free
        assert folder.is_locked()
        with ProjectDir(folder.project).try_lock() as again:
            assert not again
        assert folder.is_locked(), "who did not get it must not free it"
    assert not folder.is_locked()


@posix_only  # the C runtime of Windows has no shared lock
def test_who_looks_at_the_lock_is_not_taken_for_its_holder(folder):
    import fcntl

    with (folder.run / "lock").open("wb") as looker:  # in the middle of its `is_locked`
        fcntl.flock(looker, fcntl.LOCK_SH)
        assert not folder.is_locked()
        end = threading.Timer(0.02, fcntl.flock, (looker, fcntl.LOCK_UN))
        end.start()
        with folder.try_lock() as free:
            assert free
        end.join()


def test_a_folder_that_was_never_used_is_not_locked_and_stays_untouched(tmp_path):
    assert not ProjectDir(tmp_path).is_locked()
    assert list(tmp_path.iterdir()) == []


def test_the_kernel_frees_the_lock_of_a_killed_process(folder):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder.project)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"True"
        assert folder.is_locked()
        holder.kill()
        holder.wait(10)
        poll_until(lambda: not folder.is_locked(), 10, "the lock is free")
    finally:
        holder.kill()
        holder.communicate()


@posix_only
def test_a_child_does_not_inherit_the_lock(folder):
    """Else a service that outlives the supervisor would look like a supervisor."""
    with folder.try_lock() as free:
        assert free
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert not folder.is_locked()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


# --- state and marks --------------------------------------------------------------------------------------------------


def test_state_comes_back_as_it_was(folder):
    assert folder.read_state() is None
    folder.write_state(STATE)
    assert folder.read_state() == STATE
    folder.clear_state()
    folder.clear_state()
    assert folder.read_state() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"pid": 1}', b'{"pid": 1, "more": 2}', b"3"])
def test_a_damaged_state_counts_as_none(folder, content):
    (folder.run / "state.json").write_bytes(content)
    (folder.run / "marks.json").write_bytes(content)
    assert folder.read_state() is None
    assert folder.marks() == []
    folder.add_mark("new")
    assert folder.marks() == ["new"]


def test_a_mark_is_there_while_what_it_marks_runs(folder):
    with folder.marked("mine"), folder.marked("other"):
        assert folder.marks() == ["mine", "other"]
        with folder.marked("mine"):
            pass
        assert folder.marks() == ["mine", "other"], "that of a stack that runs stays"
    assert not folder.has_leftovers()
    assert not (folder.run / "marks.json").exists()


def test_marks_are_bounded(folder):
    for number in range(KEPT_MARKS + 5):
        folder.add_mark(f"run{number}")
    assert folder.marks() == [f"run{number}" for number in range(5, KEPT_MARKS + 5)]
    folder.clear_marks()
    assert folder.marks() == []


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\xfd"])
def test_a_damaged_backend_counts_as_none(folder, content):
    (folder.data / "backend").write_bytes(content)
    assert folder.last_backend() is None


def test_the_backend_is_remembered(folder):
    assert folder.last_backend() is None
    folder.remember_backend("embedded")
    assert folder.last_backend() == "embedded"


def test_writing_replaces_as_a_whole(tmp_path):
    path = tmp_path / "file"
    write_private(path, "one")
    write_private(path, "二")
    assert path.read_text(encoding="utf-8") == "二"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# --- where the supervisor listens -------------------------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("name", ["x" * 250, "项目 " * 20, "with 'quotes' and\ttabs"])
def test_an_address_is_short_whatever_the_folder_is_called(tmp_path, name):
    address = control_address(tmp_path / name / name)
    assert len(os.fsencode(address)) < 100
    assert address == control_address(tmp_path / name / name)
    assert address != control_address(tmp_path / name)


@posix_only
def test_a_long_runtime_folder_is_not_used(tmp_path, monkeypatch):
    long = tmp_path / ("r" * 120)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert len(os.fsencode(control_address(tmp_path))) < 100


@posix_only
def test_a_runtime_folder_of_ours_that_is_open_to_others_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    base = Path("/tmp") / f"kit-{os.getpid()}"
    base.mkdir(mode=0o700)
    try:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
        control_address(tmp_path)
        (base / "mika").chmod(0o755)
        with pytest.raises(UsageError, match="accessible to other users"):
            control_address(tmp_path)
        (base / "mika").rmdir()
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        (base / "mika").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UsageError):
            control_address(tmp_path)
        (base / "mika").unlink()
    finally:
        for path in base.iterdir():
            path.rmdir()
        base.rmdir()


@posix_only
@pytest.mark.parametrize("given", ["run", "./run", "gone", "a file", "closed"])
def test_a_runtime_folder_that_is_none_is_not_used(tmp_path, monkeypatch, given):
    """A relative one is to be ignored: each command would look in another place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for folder in ("run", "closed", "tmp"):
        (tmp_path / folder).mkdir(mode=0o700)
    (tmp_path / "a file").touch()
    if given == "closed":
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        (tmp_path / "closed").chmod(0o500)
    relative = given in ("run", "./run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", given if relative else str(tmp_path / given))
    address = Path(control_address(tmp_path))
    assert address.is_absolute()
    assert address.parent.name == f"mika-{os.getuid()}"


@posix_only
def test_a_runtime_folder_that_cannot_be_made_is_one_line(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="kit-", dir="/tmp") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        (Path(base) / "mika").touch()
        with pytest.raises(UsageError, match="cannot be created: ") as caught:
            control_address(Path(base))
        assert "XDG_RUNTIME_DIR" in caught.value.hint


@posix_only
def test_a_runtime_folder_that_is_not_there_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert not control_address(tmp_path).startswith(str(tmp_path / "gone"))
