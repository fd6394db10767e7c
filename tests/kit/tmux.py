"""A real terminal with a shell in it, and somebody who types: tmux, with a server of its own (POSIX).

`python -m tests.kit.tmux --install` installs it, on a Debian.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.kit.docker.engine import apt_install
from tests.kit.machine import DEADLINE, poll_until, require_or_skip, telling


class Tmux:
    """A shell at the prompt `$ ` in a window of so many columns and rows; killed at the end of the context."""

    def __init__(self, env: Mapping[str, str], columns: int = 80, rows: int = 24) -> None:
        if shutil.which("tmux") is None:
            require_or_skip("tmux", "tmux is not installed")
        self._name = f"mika-{uuid.uuid4().hex}"
        self._env = {name: value for name, value in env.items() if not name.startswith("TMUX")}
        self._env |= {"PS1": "$ ", "HISTFILE": "", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        size = ["-x", str(columns), "-y", str(rows)]
        # Without the user's own settings, and with more history than any test writes.
        self._tmux("new-session", "-d", *size, "sleep 600")
        self._tmux("set-option", "-g", "history-limit", "100000")
        self._tmux("new-window", "-k", "-t", ":0", "bash", "--norc", "--noprofile")

    def __enter__(self) -> Self:
        try:
            self.shows(r"\$")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            with contextlib.suppress(subprocess.CalledProcessError):
                error.add_note(f"the terminal shows:\n{self.screen()}")
        self.close()

    def close(self) -> None:
        """As a person closes the terminal's window."""
        with contextlib.suppress(subprocess.CalledProcessError):  # it ended with its last window
            self._tmux("kill-server")

    def _tmux(self, *args: str) -> str:
        command = ["tmux", "-L", self._name, "-f", "/dev/null", *args]
        run = subprocess.run(command, env=self._env, capture_output=True, check=True, timeout=DEADLINE)
        return run.stdout.decode("utf-8", "replace")

    # --- the person at it --------------------------------------------------------------------------------------------

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names for them (`Enter`, `C-c`) or as they are."""
        self._tmux("send-keys", *keys)

    def types(self, command: str) -> None:
        """Type a line, and Enter."""
        self._tmux("send-keys", "-l", command)
        self._tmux("send-keys", "Enter")

    def pastes(self, text: str) -> None:
        """As a person does from the clipboard: the terminal says so to a program that has asked for it."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    # --- what it shows -----------------------------------------------------------------------------------------------

    def screen(self, *, escapes: bool = False) -> str:
        """The rows on the screen, without the empty ones below."""
        return self._tmux("capture-pane", "-p", *(["-e"] if escapes else [])).rstrip()

    def all_rows(self) -> list[str]:
        """Also those that have scrolled away."""
        return self._tmux("capture-pane", "-p", "-S", "-").rstrip().split("\n")

    @property
    def last_row(self) -> str:
        return self.screen().rpartition("\n")[2]

    def shows(self, pattern: str, timeout: float = DEADLINE) -> str:
        """Wait until this regular expression is found on the screen, and return what it matched."""
        found = poll_until(lambda: re.search(pattern, self.screen()), timeout, f"{pattern!r} on the screen", step=0.1)
        return found[0]

    def last_row_is(self, pattern: str, timeout: float = DEADLINE) -> str:
        """Wait until the last row that is not empty is this regular expression, and return it."""
        with telling(self.screen):
            poll_until(lambda: re.fullmatch(pattern, self.last_row), timeout, f"{pattern!r} as last row", step=0.1)
        return self.last_row


if __name__ == "__main__":
    if shutil.which("tmux") is None:
        apt_install("tmux", allowed="--install" in sys.argv)
