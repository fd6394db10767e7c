"""One Windows Python that stays: it answers in milliseconds, where a new process needs a second."""

from __future__ import annotations

import json
import os
import select
import subprocess
from typing import TYPE_CHECKING, Any

from tests.kit.windows.python import kill_tree

if TYPE_CHECKING:
    from tests.kit.windows.python import WinPython

_TIMEOUT = 60.0  # s

# A process without a console gets none by itself.
_IN_A_CONSOLE = """
import subprocess, sys
subprocess.call([sys.executable, "-c", sys.argv[1]], stdin=0, stdout=1, creationflags=subprocess.CREATE_NO_WINDOW)
"""

_CODE = """
import json, sys
scope = {}
for line in sys.stdin.buffer:
    code, args = json.loads(line)
    scope |= {"args": args, "answer": None}
    try:
        exec(code, scope)
        reply = {"answer": scope["answer"]}
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""


class AgentError(Exception):
    """What went wrong in Windows, as `NameOfTheException: text`."""


class Agent:
    def __init__(self, windows: WinPython) -> None:
        self._process = windows.popen(["-c", _IN_A_CONSOLE, _CODE], stdin=subprocess.PIPE)
        self._buffer = b""

    def call(self, code: str, *args: Any, timeout: float = _TIMEOUT) -> Any:
        """Run a few lines of Python, which find `args` and leave an `answer`; other names stay. Raises AgentError."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps([code, args]).encode() + b"\n")
        stdin.flush()
        reply = json.loads(self._line(timeout))
        if "error" in reply:
            raise AgentError(reply["error"])
        return reply["answer"]

    def _line(self, timeout: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._buffer:
            if not select.select([stdout], [], [], timeout)[0]:
                raise AssertionError(f"Windows does not answer within {timeout:g} s: {self._buffer!r}")
            chunk = os.read(stdout.fileno(), 65536)
            assert chunk, f"Windows has ended: {self._buffer!r}"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        kill_tree(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
