"""A stack whose supervisor runs in another process: what an `up` of it brings back, and how it becomes ready."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence

from mika import events
from mika.control.client import Client
from mika.errors import MikaError, NotRunningError
from mika.events import Event, Notice, StackChanged
from mika.project import logs
from mika.project.folder import ProjectDir
from mika.project.logs import EVENT_LOG
from mika.stack.background import Background
from mika.stack.waiting import gave_up, why_not_ready
from mika.status import Phase, StackStatus, UnitStatus

_INTERVAL = 0.05
_LATER = 15.0
"""Seconds that a supervisor in the background has longer than we: it began later, and asks the doctor at the end."""
_REPORT = 60.0
"""Seconds for it to stop everything and write why, once it is stopping."""
_GONE: dict[Phase, tuple[str, ...]] = {
    Phase.READY: ("removed", "disconnected"),  # its next answer is due within half a second
    Phase.UNHEALTHY: ("removed", "disconnected", "exited", "dead"),
}
"""By phase: what is known of a container that nobody starts again, or connects again, by itself."""

Listener = Callable[[Event], None]


class EventReader:
    """Events from the event log, from the moment of its making on."""

    def __init__(self, folder: ProjectDir) -> None:
        self._follower = logs.Follower(folder.logs, EVENT_LOG, tail=0)

    def poll(self) -> list[Event]:
        """Those that came since the last call. A line that is not an event of ours is passed over."""
        found = []
        for line in self._follower.poll():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                event = events.from_json(json.loads(line.data))
                if event is not None:
                    found.append(event)
        return found


def wait_for_supervisor(client: Client, deadline: float) -> bool:
    """True when it answers and is not stopping; False when it has gone meanwhile. Raises MikaError at the deadline."""
    while True:
        try:
            if client.status().state != "stopping":
                return True
        except NotRunningError:
            return False
        except MikaError:
            pass
        if not client.folder.is_locked():
            return False
        if time.monotonic() >= deadline:
            state = client.folder.read_state()
            raise MikaError(
                "another `mika` holds this folder and does not answer",
                f"kill its process (pid {state.pid if state else 'unknown'}): its services then stop by themselves",
                code="busy",
            )
        time.sleep(_INTERVAL)


def lost_containers(services: Sequence[UnitStatus]) -> list[str]:
    """The containers to be started again, or made anew."""
    containers = [unit for unit in services if unit.kind == "container"]
    done = [unit.name for unit in containers if unit.phase is Phase.EXITED]  # with 0: it has done its work
    lost = [unit.name for unit in containers if unit.name not in done and _is_lost(unit)]
    # A volume may have gone, too: then what set it up has to do it again, and else finds nothing to do.
    return [*lost, *done] if lost else []


def _is_lost(unit: UnitStatus) -> bool:
    return unit.is_at_rest or unit.container in _GONE.get(unit.phase, ("removed",))


class Attached:
    """One command's view of the supervisor. `background` is the supervisor where this command started it (up -d)."""

    def __init__(self, client: Client, reader: EventReader, *, background: Background | None = None) -> None:
        self._client, self._events, self._background = client, reader, background
        self._types: frozenset[str] = frozenset()  # of processes, where only these were asked for
        self._was_ready = False  # as the event log says
        self._error = ""  # the last one in the event log

    @property
    def is_own(self) -> bool:
        """Whether this command started the supervisor."""
        return self._background is not None

    def bring_back(self, wanted: Sequence[str]) -> None:
        """`up` of what is up already: start what was stopped, gave up or was removed.

        `wanted` are words of the command line (`worker`, `worker=2`; empty: everything). Raises MikaError for what is
        not part of the stack that runs.
        """
        status = self._client.status()
        self._types = types = frozenset(word.partition("=")[0] for word in wanted)
        running = {process.type for process in status.processes}
        if types - running:
            raise MikaError(
                f"{', '.join(sorted(types - running))}: not part of the stack that runs ({', '.join(sorted(running))})",
                "`mika down` first, then `mika up` with all that you want",
                code="not_in_stack",
            )
        ended = [p for p in status.processes if p.phase in (Phase.STOPPED, Phase.GAVE_UP)]
        names = [process.name for process in ended if not types or process.type in types]
        names += [unit.name for unit in status.services if unit.kind == "process" and unit.is_at_rest]
        if names:
            self._client.control("start", names)
        if lost := lost_containers(status.services):
            self._client.control("restart", lost)

    def until_ready(self, deadline: float, listener: Listener) -> StackStatus | None:
        """The status once it is ready; None when all processes have ended well before. `listener` gets the events.

        Raises MikaError when it cannot become ready, or not by `deadline` (monotonic seconds).
        """
        stopping_at: float | None = None
        while True:
            self.hand_out(listener)
            if self._background is not None and self._background.exit_code == 0:
                return None
            status = self._status()
            if status is not None and self._is_ready(status):
                self.hand_out(listener)
                return status
            if status is not None and self._background is None:
                _raise_for_lost_hope(status)
            now = time.monotonic()
            if (
                self._background is not None
                and stopping_at is None
                and status is not None
                and status.state == "stopping"
            ):
                stopping_at = now
            end = deadline + (status.busy_s if status is not None else 0) + (_LATER if self._background else 0)
            if now >= (end if stopping_at is None else stopping_at + _REPORT):
                reason = self._error if stopping_at is not None else ""
                raise MikaError(
                    reason or f"not ready in time: {why_not_ready(status)}", "see `mika logs`", code="not_ready"
                )
            time.sleep(_INTERVAL)

    def hand_out(self, listener: Listener) -> None:
        """The events that came since the last time."""
        for event in self._events.poll():
            match event:
                case StackChanged(state="ready"):
                    self._was_ready = True
                case Notice(level="error"):
                    self._error = event.message
            listener(event)

    def _is_ready(self, status: StackStatus) -> bool:
        """The whole stack, or what was named of one that runs already."""
        named = status.of_types(self._types)
        if all(process.is_ready for process in named) if named else status.state == "ready":
            return True
        # One that crashes soon after its start is ready for milliseconds, between two looks at the status.
        return self._background is not None and self._was_ready

    def _status(self) -> StackStatus | None:
        """The supervisor's status; None while it does not answer yet. Raises what it died of."""
        if self._background is not None and self._background.exit_code is not None:
            if not self._background.lost_the_race:
                raise self._background.failure()
            self._background = None
        try:
            return self._client.status()
        except NotRunningError:
            if self._background is None:
                raise
        except MikaError:
            pass
        return None

    def stop_own(self) -> None:
        """Ctrl-C while it starts: stop what this command started. A second Ctrl-C forces it."""
        force = False
        while self._background is not None and self._background.exit_code is None:
            try:
                with contextlib.suppress(MikaError):
                    self._client.down(force=force)
                    self._background.wait()
                time.sleep(_INTERVAL)
            except KeyboardInterrupt:
                force = True  # at once, and still wait until all are gone

    def forget_report(self) -> None:
        """Nobody will read what the supervisor in the background has to say."""
        if self._background is not None:
            self._background.forget_report()


def _raise_for_lost_hope(status: StackStatus) -> None:
    """MikaError for a unit without which the stack does not become ready, and for which waiting is in vain."""
    for unit in (*status.processes, *(service for service in status.services if service.required)):
        if unit.has_given_up:
            raise gave_up(unit)
