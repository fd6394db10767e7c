"""The commands that are given during a run of chaos: each must answer within its bound, whatever happens."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator

from tests.kit.bot import Bot
from tests.kit.runs import Result

# s, on a busy machine. 15 is the worker's grace period, and a guard that does not report is killed 8 s after it.
BOUNDS = {
    "status": 8.0,
    "logs": 5.0,
    "workflows": 20.0,
    "doctor": 40.0,
    "start": 60.0,
    "restart": 15 + 8 + 40.0,
    "down": 15 + 8 + 20.0,
    "up": 120.0,
}
_WATCHED = (("status",), ("logs", "-n", "5"), ("status", "--json"), ("doctor",), ("workflows",))


class Commands:
    """Runs commands, each as a process, and notes how long they take and what must not be."""

    def __init__(self, bot: Bot) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.complaints: list[str] = []
        self._bot = bot

    def run(self, *args: str) -> Result:
        """Raises AssertionError when it takes more than twice its bound, or fails by a fault of mika."""
        bound = BOUNDS[args[0]]
        try:
            result = self._bot.mika(*args, process=True, timeout=2 * bound)
        except AssertionError as error:
            self.complaints.append(str(error))
            raise
        self.seconds[args[0]].append(result.seconds)
        if result.seconds > bound or result.code not in (0, 1, 3) or "Traceback" in result.err:
            self.complaints.append(f"bound {bound:g} s: {result}")
        return result

    @contextlib.contextmanager
    def asked_meanwhile(self, pause: float) -> Iterator[None]:
        """Give the commands that only ask, one after the other, `pause` s apart, as long as the context lasts."""
        is_done = threading.Event()

        def ask() -> None:
            for args in itertools.cycle(_WATCHED):
                with contextlib.suppress(AssertionError):  # it is among the complaints
                    self.run(*args)
                if is_done.wait(pause):
                    return

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            is_done.set()
            thread.join()
