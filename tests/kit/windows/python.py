"""The real CPython for Windows, run from tests on Linux through Wine. `setup.sh` makes the folder that this uses.

with WinPython() as windows:
    finished = windows.run(["-m", "mika", "status"], cwd=project)
    assert finished.code == 3, finished.text
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.kit.machine import ROOT
from tests.kit.project import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WINE = "/usr/lib/wine/wine64"

# How long what is left in the pipe of an ended process is read, in s: its children may hold it open, and write, too.
_DRAIN = 2.0


def default_home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "mika-windows"


def to_windows(path: str | os.PathLike[str]) -> str:
    """The name under which Windows programs see a Linux path: Wine shows the root folder as drive Z."""
    return "Z:" + str(Path(path).absolute()).replace("/", "\\")


@dataclass(frozen=True)
class Finished:
    """How a Windows process ended. Linux keeps only the low 8 bits of its exit code."""

    code: int
    data: bytes

    @property
    def text(self) -> str:
        """Standard output and standard error together, with LF line ends."""
        return self.data.decode("utf-8", errors="replace").replace("\r\n", "\n")


class WinPython:
    """One Windows for the tests of a session. Leave it (`close` or `with`) and no process of it lives on."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or default_home()
        self.python = self.home / "python"
        self.prefix = self.home / "prefix"
        self._session: int | None = None

    def available(self) -> str | None:
        """Why Windows programs cannot be run here, or None."""
        if not Path(_WINE).exists() or not shutil.which("wineserver"):
            return "Wine is not installed: run tests/windows/setup.sh"
        if not (self.home / "stamps" / "self_check").exists():
            return f"{self.home} is not set up: run tests/windows/setup.sh"
        return None

    @property
    def temporal(self) -> Path | None:
        """temporal.exe, when `setup.sh --temporal` has built it. It stands on the PATH of the processes."""
        program = self.home / "bin" / "temporal.exe"
        return program if program.exists() else None

    def open(self) -> None:
        """Start Windows itself: later processes then take 0.1 s to start rather than 1.3 s."""
        if self._session is not None:
            return
        self._session = os.open(self.home / "session.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._session, fcntl.LOCK_SH)
        self._wineserver("-p30")  # it outlives a killed test run by 30 s at most
        # Services start with the first program and keep its output open for good, so that program must not have a pipe.
        null = subprocess.DEVNULL
        first = [_WINE, "cmd", "/c", "exit"]
        env = self._wine_environment()
        subprocess.run(first, env=env, stdin=null, stdout=null, stderr=null, timeout=60, check=True)

    def close(self) -> None:
        """End every process of this Windows, unless another test run is using it."""
        if self._session is None:
            return
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._session, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._wineserver("-k")
            self._wineserver("-w")
        os.close(self._session)
        self._session = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def environment(self, extra: Mapping[str, str] | None = None, *, chinese: bool = False) -> dict[str, str]:
        """What `popen` passes on: this process's environment without what is for its Python or for a stack, and the
        repository on PYTHONPATH.

        `chinese`: a Windows whose ANSI code page is 936 (GBK) instead of 1252.
        """
        ours = ("PYTHON", "VIRTUAL_ENV", "UV_", "COVERAGE", "WINE", *FOREIGN)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment["PYTHONPATH"] = f"{to_windows(ROOT)};{to_windows(ROOT / 'launcher')}"
        environment["PYTHONPYCACHEPREFIX"] = to_windows(self.home / "pycache")  # not that of Linux
        environment["MIKA_WINE_LOCALE"] = "zh_CN.UTF-8" if chinese else "C.UTF-8"
        return environment | dict(extra or {})

    def popen(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        chinese: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start `python.exe ARGS`; standard error goes into the pipe of standard output. End it with `kill_tree`."""
        self.open()
        return subprocess.Popen(
            [self.python, *args],
            cwd=cwd,
            env=self.environment(env, chinese=chinese),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        chinese: bool = False,
    ) -> Finished:
        """Run `python.exe ARGS` to its end. After `timeout` seconds: `TimeoutExpired` with what it has written."""
        process = self.popen(args, cwd=cwd, env=env, chinese=chinese)
        output = _Output(process)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            late.output = output.data()
            raise
        finally:
            kill_tree(process)
            output.end()
        return Finished(code, output.data())

    def _wineserver(self, option: str) -> None:
        # -k says 1 when there is nothing to kill, -p says 2 when another test run has started it already.
        subprocess.run(["wineserver", option], env=self._wine_environment(), timeout=60, check=False)

    def _wine_environment(self) -> dict[str, str]:
        return self.environment() | {"WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all", "LC_ALL": "C.UTF-8"}


class _Output:
    """Reads a pipe in a thread: its end cannot be waited for, since a process left behind may hold it open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        self._chunks: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        deadline = math.inf
        while time.monotonic() < deadline:
            if self._ended.is_set():
                deadline = min(deadline, time.monotonic() + _DRAIN)
            if select.select([self._pipe], [], [], 0.05)[0]:
                chunk = os.read(self._pipe.fileno(), 65536)
                if not chunk:
                    return
                self._chunks.append(chunk)
            elif self._ended.is_set():
                return

    def data(self) -> bytes:
        return b"".join(self._chunks)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._pipe.close()


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """TerminateProcess, in effect, for what `popen` started and for those of its children that share its console."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
