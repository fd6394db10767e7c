"""A command that says whether a process is ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mika.frozen import frozen
from mika.machine.local import require_descriptors
from mika.readiness.ladder import NotYet
from mika.text import plain
from mika.wording import _

_LAST_BYTES = 4096  # of its output: enough for the last line


@frozen
class CheckCommand:
    """A command that says whether a process is ready. `line` is as in `mika.procfile.command.Command`."""

    line: tuple[str, ...] | str
    cwd: Path
    env: Mapping[str, str]

    async def run(self, run_id: str) -> str:
        """Run it once; it must exit with 0. A cancelled run leaves no process. `run_id` marks its processes."""
        require_descriptors()
        with tempfile.TemporaryFile() as output:  # not a pipe, which a process that it leaves behind could hold open
            process = subprocess.Popen(  # noqa: ASYNC220 - asyncio takes no command line, which Windows may need
                self.line,
                cwd=self.cwd,
                env={**self.env, "MIKA_RUN_ID": run_id},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=sys.platform != "win32",
            )
            try:
                code = await asyncio.to_thread(process.wait)
            finally:
                _kill_tree(process)
            if code:
                output.seek(max(0, output.seek(0, os.SEEK_END) - _LAST_BYTES))
                lines = plain(output.read().decode("utf-8", errors="replace")).split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "")
                if last:
                    raise NotYet(_("exit code {code}: {line}", code=code, line=last[:200]))
                raise NotYet(_("exit code {code}", code=code))
        return _("exit code {code}", code=0)


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with what it has started."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
