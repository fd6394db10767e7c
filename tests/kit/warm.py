"""Programs of the bot that are forked from a process which has imported them: 0.2 s of CPU, and not 1 s (Linux).

Each is a process of its own, with its own environment, folder and output; but to others it has the command line, and
the environment, of the process that it was forked from.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_WORKER = "src.workers.temporal_worker"
_IMPORTED = (_WORKER, "src.api.app", "src.api.protocol", "src.history.sqlite", "openai.resources.chat", "uvicorn.main")
_CHANGED = ("PYTHON", "MIKA_", "TEMPORAL_", "KIT_MARK")
"""What the process that imports does not take over from its environment."""


class Forked(subprocess.Popen[bytes]):
    """A process that is no child of this one."""

    _child_created = False  # Popen has nothing to reap

    def __init__(self, args: Sequence[str], pid: int, end: socket.socket) -> None:
        self.args, self.pid = args, pid
        self.returncode: int | None = None
        self._end, self._lock = end, threading.Lock()

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
                told = self._end.recv(16)
                self._end.close()
                assert told, "the process that this one was forked from is gone"
                self.returncode = int(told)
            return self.returncode


def start(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: IO[bytes]) -> subprocess.Popen[bytes]:
    """Run a program without input, as `subprocess.Popen` does; forked if it is one of the bot."""
    python, kind, what = (*command, "", "")[:3]
    if sys.platform == "linux" and python == sys.executable and (kind == "-c" or what in (_WORKER, "uvicorn")):
        return _nursery().fork(command, cwd, env, out)
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)


class _Nursery:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).parents[2])
        env = {name: value for name, value in os.environ.items() if not name.startswith(_CHANGED)}
        env |= {"PYTHONPATH": root, "PYTHONUTF8": "1"}
        command = [sys.executable, "-u", "-m", "tests.kit.warm"]
        with theirs:
            self._popen = subprocess.Popen(command, cwd=root, env=env, stdin=theirs.fileno())
        self._lock = threading.Lock()
        atexit.register(self._end)

    def _end(self) -> None:
        self._control.close()
        self._popen.wait(10)

    def fork(self, command: Sequence[str], cwd: Path, env: Mapping[str, str], out: IO[bytes]) -> Forked:
        ours, theirs = socket.socketpair()
        given = json.dumps({"words": command[1:], "cwd": str(cwd), "env": dict(env)}).encode()
        with theirs, self._lock:
            socket.send_fds(self._control, [given], [out.fileno(), theirs.fileno()])
            pid = int(self._control.recv(16))
        return Forked(command, pid, ours)


@functools.cache
def _nursery() -> _Nursery:
    """It ends with this process."""
    return _Nursery()


# --- in the process that imports --------------------------------------------------------------------------------------


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork a child for each request, and tell its end. Returns what to run in a child, and None at the end."""
    children: dict[int, tuple[int, socket.socket]] = {}  # by their pidfds
    while True:
        for ready in select.select([control.fileno(), *children], [], [])[0]:
            if ready in children:
                pid, end = children.pop(ready)
                os.close(ready)
                with end, contextlib.suppress(OSError):  # nobody asks any more
                    end.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            given, files, _, _ = socket.recv_fds(control, 1 << 20, 2)
            if not given:
                return None
            out, end = files[0], socket.socket(fileno=files[1])
            if (pid := os.fork()) == 0:
                for number in (control.detach(), end.detach(), *children, *(e.detach() for _, e in children.values())):
                    os.close(number)
                os.dup2(os.open(os.devnull, os.O_RDWR), 0)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.close(out)
                return dict(json.loads(given))
            os.close(out)
            children[os.pidfd_open(pid)] = (pid, end)
            control.send(b"%d" % pid)


def become(words: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
    """Do what Python does with these arguments."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    kind, what, *arguments = words
    sys.path[0] = cwd
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments]
        exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    del sys.modules[_WORKER]  # it runs as `__main__`
    sys.modules["openai"].AsyncOpenAI(api_key="any")  # imports more
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as control:
        mine = serve(control)
    if mine is not None:
        become(**mine)


if __name__ == "__main__":
    main()
