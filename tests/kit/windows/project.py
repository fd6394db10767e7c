"""`tests.kit.project.Project`, with `mika` and all that it starts as Windows processes.

Folders and ports are shared with Linux, and so is what the processes leave behind: logs are read, and left-overs are
looked for, from the Linux side.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from mika.errors import MikaError, NotRunningError

from tests.kit.project import Project
from tests.kit.runs import Result
from tests.kit.windows.agent import Agent, AgentError
from tests.kit.windows.python import WinPython, to_windows

PATIENCE = 90.0  # s; a bot is ready in 15 s under Wine, on a machine that does nothing else
KILLED = 9
_PAUSE = 0.5  # s; under Wine a status takes 50 ms of CPU

_STATUS = """
import pathlib
from mika.control.client import Client
from mika.project.folder import ProjectDir
answer = Client(ProjectDir(pathlib.Path(args[0]))).status().as_json()
"""

_RUN = """
import os, pathlib
from tests.kit.runs import run_here
command, cwd, env, timeout = args
code, out, err = run_here(command, cwd=pathlib.Path(cwd), env={**os.environ, **env}, stdin=b"", timeout=timeout)
answer = [code, (err + out).decode()]
"""


@dataclass(kw_only=True)
class WinProject(Project):
    """`chinese`: in a Windows whose code page is 936. All pids are those of Windows, but those of `alive()`."""

    windows: WinPython
    agent: Agent
    chinese: bool = False
    patience: float = 15.0
    _asked_at: float = float("-inf")

    def environ(self, **extra: str) -> dict[str, str]:
        """What the stack needs over the environment that `windows` gives to each process."""
        everything = super().environ(**extra)
        given = self.windows.environment()
        return {
            name: value for name, value in everything.items() if name not in given and not name.startswith("PYTHON")
        }

    def mika(
        self,
        *args: str,
        timeout: float = PATIENCE,
        env: dict[str, str] | None = None,
        stdin: str = "",
        process: bool | None = None,
    ) -> Result:
        """Standard output and error come together, in `out`.

        As a `process` of its own, or in that of the agent, which has imported everything already.
        By default only `up` gets one: it may supervise, and what it starts has its code page.
        """
        assert not stdin
        command = ["-C", to_windows(self.folder), *args]
        if "up" in args if process is None else process:
            return self.python(["-P", "-m", "mika", *command], args, timeout, env)
        began = time.monotonic()
        environ = self.environ(**(env or {}))
        code, text = self.agent.call(_RUN, command, to_windows(self.folder), environ, timeout, timeout=timeout + 10)
        return _checked(Result(args, code, text.replace("\r\n", "\n"), "", time.monotonic() - began))

    def python(
        self,
        command: list[str],
        args: tuple[str, ...] = (),
        timeout: float = PATIENCE,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run `python.exe COMMAND`; `args` is what is shown of it."""
        began = time.monotonic()
        finished = self.windows.run(
            command, cwd=self.folder, env=self.environ(**(env or {})), timeout=timeout, chinese=self.chinese
        )
        text = finished.data.decode("gbk" if self.chinese else "cp1252", "replace").replace("\r\n", "\n")
        return _checked(Result(args or tuple(command), finished.code, text, "", time.monotonic() - began))

    def error(self, *args: str, code: int, **options: Any) -> Result:
        result = self.mika(*args, **options)
        assert result.code == code, str(result)
        assert "mika: " in result.out, str(result)
        return result

    def status(self) -> dict[str, Any]:
        """Not more often than every `_PAUSE`: a test that waits would keep two Windows processes busy."""
        time.sleep(max(0.0, self._asked_at + _PAUSE - time.monotonic()))
        self._asked_at = time.monotonic()
        try:
            found: dict[str, Any] = self.agent.call(_STATUS, to_windows(self.folder))
        except AgentError as error:
            raise (NotRunningError if str(error).startswith("NotRunning") else MikaError)(str(error)) from None
        return found

    def terminate(self, pid: int) -> None:
        """TerminateProcess, with KILLED as the exit code."""
        self.agent.call(f"import os\nos.kill(args[0], {KILLED})", pid)

    def guard_pid(self, name: str) -> int:
        """The guard is the parent of its service."""
        guard: int = self.agent.call("import psutil\nanswer = psutil.Process(args[0]).ppid()", self.pid(name))
        return guard


def _checked(result: Result) -> Result:
    assert "this is a fault of mika" not in result.out, str(result)
    assert "Traceback" not in result.out or result.args[:1] == ("logs",), str(result)
    return result
