"""A wall clock that is set while a stack runs, for the processes that inherit its environment (Linux).

Not libfaketime: with it Python's `time.sleep` fails. Go programs, such as Temporal's server, ask the kernel themselves.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.kit.docker.engine import apt_install
from tests.kit.machine import require_or_skip

_SOURCE = Path(__file__).with_suffix(".c")


class Clock:
    """`env` is for a stack; `set_to` moves the clock of all its processes."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux" or not (compiler := shutil.which("cc")):
            require_or_skip("clock", "there is no C compiler")
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
        self._file = folder / "clock"
        self.env = {"LD_PRELOAD": str(library), "MIKA_TEST_CLOCK": str(self._file)}
        self.set_to(0)

    def set_to(self, ahead: int) -> None:
        """`ahead` of the true time, in seconds."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead}\n", encoding="ascii")
        new.replace(self._file)


def main() -> None:
    """`python -m tests.kit.clock --install`: what the clock needs, on a Debian."""
    if not shutil.which("cc"):
        for package in ("gcc", "libc6-dev"):
            apt_install(package, allowed="--install" in sys.argv)


if __name__ == "__main__":
    main()
