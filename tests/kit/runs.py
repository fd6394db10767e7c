"""One run of the `mika` command: what it said, or what it does beside the test."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.machine import DEADLINE, poll_until, telling


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
        return f"`mika {' '.join(self.args)}` -> {self.code} after {self.seconds:.1f} s\n{self.out}{self.err}"


class Running:
    """`mika` in the foreground, with its output in a file."""

    def __init__(self, popen: subprocess.Popen[bytes], file: Path, args: tuple[str, ...]) -> None:
        self.popen, self.file, self.args = popen, file, args

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.file.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout: float = DEADLINE) -> str:
        """Wait until `text` is in the output; fails at once when the command has ended without it."""

        def look() -> bool:
            ended = self.popen.poll() is not None
            if text in self.output():
                return True
            assert not ended, f"`mika {' '.join(self.args)}` ended with {self.popen.returncode}:\n{self.output()}"
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
            raise AssertionError(
                f"`mika {' '.join(self.args)}` still runs after {timeout} s:\n{self.output()}"
            ) from None
