"""A command that says whether a process is ready."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from mika.frozen import frozen
from mika.guard import temporary
from mika.project.logs import decode, read_tail
from mika.readiness.ladder import NotYet
from mika.supervisor.guard import Guard, ServiceSpec
from mika.text import plain
from mika.wording import _

_NAME = "ready"
_OUTPUT_BYTES = 64 << 10  # of its output: the last line is shown
_LAST_LINES = 20  # among which one is not empty


@frozen
class CheckCommand:
    """A command that says whether the process `name` is ready. `line` is as in `mika.procfile.command.Command`.

    `folder` is that of the run. A guard bounds the output, and leaves nothing of what a command starts.
    """

    name: str
    line: tuple[str, ...] | str
    cwd: Path
    env: Mapping[str, str]
    folder: Path

    async def run(self, run_id: str) -> str:
        """Run it once; it must exit with 0. Nothing is left of it, also if this is cancelled, or mika is killed."""
        place = self.folder / f"check-{os.getpid()}-{secrets.token_hex(4)}"  # the guard makes it
        spec = ServiceSpec(
            name=_NAME,
            command=self.line,
            cwd=self.cwd,
            # What belongs to the process itself must not be mistaken for it.
            env={**self.env, "MIKA_RUN_ID": run_id, "MIKA_PROCESS": f"{self.name}.{_NAME}"},
            log_dir=place,
            log_max_bytes=_OUTPUT_BYTES,
            temporary={},
            grace=0.0,
        )
        try:
            guard = await Guard.start(spec)
            try:
                end = await guard.wait()
            finally:
                guard.kill()
                await guard.wait()
            if not end.code:
                return _("exit code {code}", code=0)
            lines = [plain(decode(line.data)).strip() for line in read_tail(place, _NAME, _LAST_LINES)]
            last = next(filter(None, reversed(lines)), "")
            raise NotYet(_("{reason}: {line}", reason=end.reason.text, line=last[:200]) if last else end.reason)
        finally:
            temporary.remove(str(place))
