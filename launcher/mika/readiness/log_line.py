"""A line in a log.

Some patterns take years for one line, as `(a+)+b` for 45 a. Python then does nothing else, so only the end of a process
helps.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence

from mika.machine.local import require_descriptors
from mika.readiness.ladder import NotYet
from mika.reason import Reason
from mika.text import plain
from mika.wording import _

_NO_WINDOW = 0
if sys.platform == "win32":
    _NO_WINDOW = subprocess.CREATE_NO_WINDOW

_REPEATS = re.compile(r"(?<!\()[*+?{]")
_SHORT = 2000
"""Characters of a line through which a pattern that repeats only once goes within milliseconds."""
_LINE_SECONDS = 2.0
# It says `.` for each line that does not match, `!` for the one that does. The timer ends it, whatever `re` does.
_SEARCH = """
import faulthandler, os, re, sys
search = None
for line in sys.stdin.buffer:
    text = bytes.fromhex(line.decode()).decode("utf-8", "surrogatepass")
    faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
    if search is None:
        search = re.compile(text).search
    elif search(text):
        os.write(1, b"!")
        break
    else:
        os.write(1, b".")
"""


class LogLine:
    """Looks for `pattern` in lines as they come; `search` is called again for each attempt."""

    def __init__(self, pattern: str, line_seconds: float = _LINE_SECONDS) -> None:
        self._pattern, self._line_seconds = re.compile(pattern), line_seconds
        self._repeats_once = len(_REPEATS.findall(pattern)) < 2
        self._unread: list[str] = []
        self._left_out = 0

    async def search(self, lines: Iterable[str]) -> str:
        # also without CR, so that `$` in a pattern matches the end of any line
        self._unread += [plain(line).strip() for line in lines]
        unread = self._unread
        if self._repeats_once and all(len(text) <= _SHORT for text in unread):
            missed = next((number for number, text in enumerate(unread) if self._pattern.search(text)), len(unread))
            is_found = missed < len(unread)
        else:
            missed, is_found = await self._search_elsewhere(unread)
        self._unread = unread[missed:]
        if is_found:
            return self._unread[0][:120]
        if self._unread:
            del self._unread[0]
            self._left_out += 1
        raise NotYet(self._reason())

    def _reason(self) -> Reason:
        pattern = self._pattern.pattern
        if not self._left_out:
            return Reason(_("no line matches {pattern!r} yet", pattern=pattern))
        return Reason(
            _(
                "no line matches {pattern!r} yet; lines that were left out, as each takes longer than {seconds:g} s:"
                " {count}",
                pattern=pattern,
                seconds=self._line_seconds,
                count=self._left_out,
            ),
            _("write the pattern without a repetition in a repetition, such as (a+)+"),
        )

    async def _search_elsewhere(self, texts: Sequence[str]) -> tuple[int, bool]:
        """How many lines do not match, and whether the next one does; if not, that one takes too long."""
        if not texts:
            return 0, False
        require_descriptors()
        process = await asyncio.create_subprocess_exec(
            getattr(sys, "_base_executable", None) or sys.executable,
            *("-I", "-S", "-c", _SEARCH, str(self._line_seconds)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=_NO_WINDOW,
        )
        words = [text.encode("utf-8", "surrogatepass").hex() for text in (self._pattern.pattern, *texts)]
        try:
            answer, _nothing = await process.communicate("".join(f"{word}\n" for word in words).encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return answer.count(b"."), answer.endswith(b"!")
