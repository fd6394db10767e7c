"""The pictures of both READMEs, from a real stack in a real terminal (tmux), light and dark.

python -m tests.pictures          # docs/pictures/*.svg, about 1 min
"""

from __future__ import annotations

import html
import io
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from tests.kit import reaper
from tests.kit.bot import Bot
from tests.kit.machine import ROOT
from tests.kit.tmux import Tmux

COLUMNS, ROWS = 100, 24
FOLDER = ROOT / "docs" / "pictures"
THEMES = {"light": DEFAULT_TERMINAL_THEME, "dark": SVG_EXPORT_THEME}
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_GENERATOR = re.compile(r"\s*<!--.*?-->")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as parent, Bot(Path(parent)) as bot:
        for name, title, screen in screens(bot):
            for theme_name, theme in THEMES.items():
                (FOLDER / f"{name}-{theme_name}.svg").write_text(drawn(screen, title, theme), encoding="utf-8")


def screens(bot: Bot) -> Iterator[tuple[str, str, str]]:
    """The name of each picture, what was typed, and the screen with its escapes."""
    with Tmux(bot.environ(), COLUMNS, ROWS) as first, Tmux(bot.environ(), COLUMNS, ROWS) as second:
        second.types(f"cd {bot.folder}")
        first.types(f"cd {bot.folder} && clear && mika up")
        first.shows(r"ready.*\? help")
        for message in ("hello", "how are you?"):  # the server's own first lines scroll away
            assert bot.post(message).status_code == 200
        os.kill(bot.pid("worker"), signal.SIGKILL)
        first.shows(r"worker ready \(1 restart\)")
        yield "up", "mika up", first.screen(escapes=True)

        bot.ok("stop", "worker")
        bot.post("hello")  # which says why there is no reply, after some seconds
        second.types("clear && mika doctor --workflow")
        second.shows("no_worker")
        second.last_row_is(r"\$ ?")
        yield "doctor", "mika doctor --workflow", second.screen(escapes=True)


def drawn(screen: str, title: str, theme: TerminalTheme) -> str:
    """As SVG. Its font is one of the reader's: a page of documentation loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen), soft_wrap=True)
    svg = console.export_svg(title=html.escape(title), theme=theme, unique_id="t")
    return _GENERATOR.sub("", _WEB_FONT.sub("", svg))


if __name__ == "__main__":
    reaper.end_with_us()
    main()
