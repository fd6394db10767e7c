"""`mika send` without a text: a chat with the bot, with the line editing of this terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mika.cli.context import END_OF_INPUT, show_error
from mika.cli.language import echo
from mika.cli.spelling import say
from mika.errors import MikaError
from mika.project.folder import write_private
from mika.wording import _

_PROMPT = "> "
_KEPT = 500
"""Lines of the history."""


def chat(answer: Callable[[str], None], history: Path) -> None:
    """Ask for a line, and `answer` it, until the end of input. Ctrl-C gives up the line, or the wait for its answer.

    `history` is the file with the earlier lines; it is only made where its folder is.
    """
    echo(_("a line is a message; press {key} to end", key=END_OF_INPUT), err=True)
    with _line_editing(history):
        is_open = True
        while is_open:
            with contextlib.suppress(KeyboardInterrupt):  # one more, while the first one was dealt with
                line = _line()
                is_open = line is not None
                if line:
                    _answer(answer, line)


def _line() -> str | None:
    """What was typed; empty if there is nothing to answer, and None at the end of input."""
    try:
        text = input(_PROMPT)
    except EOFError:
        echo()
        return None
    except KeyboardInterrupt:
        echo()
        return ""
    return text if text.strip() else ""


def _answer(answer: Callable[[str], None], text: str) -> None:
    try:
        answer(text)
    except KeyboardInterrupt:
        say("\n" + _("no longer waited for; `mika workflows` shows what became of it"), err=True)
    except MikaError as error:
        show_error(error, as_json=False)


@contextlib.contextmanager
def _line_editing(history: Path) -> Iterator[None]:
    """By readline, where Python has it. On Windows the console itself edits a line and has a history."""
    if sys.platform == "win32":
        yield
        return
    try:
        import readline
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError, UnicodeError):
        for line in history.read_text(encoding="utf-8").splitlines():
            readline.add_history(line)
    try:
        yield
    finally:
        length = readline.get_current_history_length()
        lines = [readline.get_history_item(number + 1) for number in range(max(0, length - _KEPT), length)]
        if lines and history.parent.is_dir():
            with contextlib.suppress(OSError):
                write_private(history, "".join(f"{line}\n" for line in lines))
