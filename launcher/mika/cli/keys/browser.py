"""Open an address in the browser of the person at the terminal."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_url(url: str) -> bool:
    """Whether a browser was asked to open it. Never one that would take over the terminal (lynx, w3m)."""
    has_display = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if not has_display:
        return False
    try:
        return webbrowser.open(url)
    except (OSError, webbrowser.Error):
        return False
