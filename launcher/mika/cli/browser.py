"""A page in the browser of the user, where there is one."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_page(url: str) -> bool:
    """Whether a browser was asked to. Without a display (ssh, a container) none is: a text one would take the screen.

    BROWSER names one in any case, as editors that are connected from elsewhere set it.
    """
    has_display = sys.platform in ("win32", "darwin") and "SSH_CONNECTION" not in os.environ
    if not (has_display or any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))):
        return False
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
