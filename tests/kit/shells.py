"""The shells whose completion is tested.

`python -m tests.kit.shells --install` installs those that a Debian lacks.
"""

from __future__ import annotations

import shutil
import sys

from tests.kit.docker.engine import apt_install
from tests.kit.machine import require_or_skip

SHELLS = ("bash", "zsh", "fish")


def needs_shell(shell: str) -> None:
    """Skip the test, or fail it, where this shell is not installed."""
    if shutil.which(shell) is None:
        require_or_skip("shells", f"{shell} is not installed")


if __name__ == "__main__":
    for missing in (shell for shell in SHELLS if shutil.which(shell) is None):
        apt_install(missing, allowed="--install" in sys.argv)
