"""A console of Windows, and somebody who types in it. What is written to it is shown by tmux, as a terminal shows it.

So keys, sizes and modes are those of a Windows console, and the characters those that mika gives it; what becomes of
them on the screen, and the shape of its window, is tmux's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kit.machine import poll_until
from tests.kit.tmux import Tmux
from tests.kit.windows.agent import Agent
from tests.kit.windows.python import to_windows

_CONTROL = 0x0008
# The number of the key, the character that it makes, and what is held with it.
_KEYS = {
    "Escape": (0x1B, 0x1B, 0),
    "Enter": (0x0D, 0x0D, 0),
    "BSpace": (0x08, 0x08, 0),
    "Up": (0x26, 0, 0),
    "F5": (0x74, 0, 0),
    "M-q": (0x51, ord("q"), 0x0002),
    "C-c": (0x43, 0x03, _CONTROL),
    "C-z": (0x5A, 0x1A, _CONTROL),
    "C-Break": (0x03, 0, _CONTROL),
}
_COLUMNS, _ROWS = 80, 24
_PATIENCE = 60.0  # s
_HAVE = """
if "console" not in globals():
    from tests.kit.windows.inside import Console
    console = Console()
"""


class Console(Tmux):
    """`python.exe COMMAND` in a console of 80 columns and 24 rows; killed at the end of the context.

    `piped`: its output goes into a pipe, and is shown when it has ended.
    """

    def __init__(
        self, agent: Agent, command: Sequence[str], cwd: Path, env: Mapping[str, str], *, piped: bool = False
    ) -> None:
        self._agent = agent
        agent.call(_HAVE)
        self._recording = cwd / "console.txt"
        self._recording.write_bytes(b"")
        super().__init__(env, _COLUMNS, _ROWS)
        self._start = (list(command), to_windows(cwd), dict(env), _COLUMNS, _ROWS, piped)

    def _console(self, method: str, *args: Any) -> Any:
        return self._agent.call(f"answer = console.{method}(*args)", *args)

    def __enter__(self) -> Self:
        super().__enter__()
        self._tmux("send-keys", f"clear && stty -echo && exec tail -c +1 -f '{self._recording}'", "Enter")
        self._console("start", *self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                error.add_note(f"its exit code: {self._console('exit_code')}; written last: {self.written()[-600:]!r}")
            self._console("kill")
        finally:
            super().__exit__(kind, error, trace)

    # --- the person at it --------------------------------------------------------------------------------------------

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names for some of them, or as they are."""
        pressed = [stroke for key in keys for stroke in ([_KEYS[key]] if key in _KEYS else _characters(key))]
        self._console("press", pressed)

    def types(self, command: str) -> None:
        self._console("press", [*_characters(command), _KEYS["Enter"]])

    def resize(self, columns: int, rows: int) -> None:
        super().resize(columns, rows)
        self._console("resize", columns, rows)

    # --- what it shows -----------------------------------------------------------------------------------------------

    def screen(self, *, escapes: bool = False) -> str:
        self._record()
        return super().screen(escapes=escapes)

    def all_rows(self) -> list[str]:
        self._record()
        return super().all_rows()

    def written(self) -> str:
        """All characters that were written to it, escapes included."""
        self._record()
        return self._recording.read_bytes().decode()

    def _record(self) -> None:
        if text := self._console("written"):
            with self._recording.open("ab") as file:
                file.write(text.encode("utf-8", "replace"))

    @property
    def understands_escapes(self) -> bool:
        """Whether a console of Windows would obey them, after what it was told."""
        return bool(self._console("understands_escapes"))

    def ends(self) -> int:
        """Its exit code."""
        poll_until(lambda: self._console("exit_code") is not None, _PATIENCE, "the end of the program")
        return int(self._console("exit_code"))


def _characters(text: str) -> list[tuple[int, int, int]]:
    """What a keyboard says for them; an input method gives no key."""
    return [(ord(each.upper()) if each.isascii() and each.isalnum() else 0, ord(each), 0) for each in text]
