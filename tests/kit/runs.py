"""One run of the `mika` command: what it said, or what it does beside the test."""

from __future__ import annotations

import _thread
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest import mock

from mika.cli import main
from mika.cli.spelling import use_folder

from tests.kit.machine import DEADLINE, POSIX, poll_until, telling

SHOWN = 5000  # characters of an output that a failure shows: pytest takes minutes for some MB


@dataclass(frozen=True)
class Result:
    """What `mika` said."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"not one JSON object on standard output: {self}") from None

    @property
    def text(self) -> str:
        return self.out + self.err

    def __str__(self) -> str:
        output = self.out[-SHOWN:] + self.err[-SHOWN:]
        return f"`mika {' '.join(self.args)}` -> {self.code} after {self.seconds:.1f} s\n{output}"


class Running:
    """A process beside the test, with its output in a file; `name` is what a failure calls it."""

    def __init__(self, popen: subprocess.Popen[bytes], file: Path, name: str) -> None:
        self.popen, self.file, self.name = popen, file, name

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout: float = DEADLINE) -> str:
        """Wait until `text` is in the output; fails at once when the process exits without it."""

        def look() -> bool:
            ended = self.popen.poll() is not None
            if text in self.output():
                return True
            assert not ended, f"{self.name} exited with {self.popen.returncode}:\n{self.output()}"
            return False

        with telling(self.output):
            poll_until(look, timeout, f"{text!r} in the output")
        return self.output()

    def send(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def wait(self, timeout: float = DEADLINE) -> int:
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout} s:\n{self.output()[-SHOWN:]}") from None

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)


# --- in this process --------------------------------------------------------------------------------------------------


def run_here(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes, timeout: float
) -> tuple[int, bytes, bytes]:
    """Run `mika ARGV` in this process, which saves what Python and the imports take: 0.3 s.

    Returns its exit code, standard output and standard error. After `timeout` s the command is interrupted, and
    `subprocess.TimeoutExpired` raised, as for a process.
    """
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        stack.enter_context(_streams(given, out, err))
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(environment(env))
        stack.enter_context(mock.patch.object(sys, "argv", ["mika", *argv]))
        use_folder(None)  # a test may have asked for a hint in another environment, such as that of `uv run pytest`
        with _interrupted_after(timeout) as is_late:
            code = main.run(argv)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for file in (out, err):
            file.seek(0)
        output = out.read(), err.read()
    if is_late.is_set():
        raise subprocess.TimeoutExpired(["mika", *argv], timeout, *output)
    return code, *output


def can_run_here() -> bool:
    """Environment, folder and streams belong to the whole process, and only the main thread can be interrupted."""
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _streams(given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Files, and not buffers: a command may pass its standard error on to a program."""
    before = sys.stdin, sys.stdout, sys.stderr
    wrapped = [io.TextIOWrapper(file, encoding="utf-8", errors="replace") for file in (given, out, err)]
    sys.stdin, sys.stdout, sys.stderr = wrapped
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream in wrapped:
            stream.detach()


@contextlib.contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """This process has this environment, and no other."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _interrupted_after(timeout: float) -> Iterator[threading.Event]:
    """Ctrl-C for what runs within after `timeout` s; the event says whether that was needed."""
    is_late, is_done = threading.Event(), threading.Event()

    def interrupt() -> None:
        if not is_done.wait(timeout):
            is_late.set()
            if POSIX:  # wakes it from a system call, too
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            else:
                _thread.interrupt_main()

    watch = threading.Thread(target=interrupt, daemon=True)
    watch.start()
    try:
        yield is_late
    finally:
        is_done.set()
        watch.join()
