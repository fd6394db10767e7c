"""`mika up` for a stack that another process supervises: start what is missing, and wait until it is ready."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence

from mika.control import unresponsive
from mika.control.client import Client
from mika.errors import MikaError, NotRunningError
from mika.events import Event, Notice, StackChanged
from mika.project.event_log import EventReader
from mika.reason import Reason
from mika.stack.background import Background
from mika.stack.waiting import failure_of, why_not_ready
from mika.status import Phase, StackStatus, UnitStatus
from mika.wording import Text, _, listed

_INTERVAL = 0.05  # s
_STATUS_INTERVAL = 0.5
"""Seconds after which the status is asked for although no event has told of a change. An answer costs the supervisor
some milliseconds, while it and what it starts need the CPU; a look at the event log costs next to nothing."""
SAME_INTERRUPT = 0.2
"""Seconds within which two Ctrl-C are one: it goes to a whole group of processes, and some pass it on."""
_EXTRA_SECONDS = 15.0
"""Extra time for a supervisor in the background: it started later than this command, and runs the doctor at the end."""
_REPORT_SECONDS = 60.0
"""How long a supervisor that is stopping may take to stop everything and write its report."""
_LOST_STATES: dict[Phase, tuple[str, ...]] = {
    Phase.READY: ("removed", "disconnected"),  # the next check, within half a second, will change the phase
    Phase.UNHEALTHY: ("removed", "disconnected", "exited", "dead"),
}
"""By phase: the states of a container that will not be started, or connected, again without a command."""


Listener = Callable[[Event], None]


class StoppedError(MikaError):
    """The stack that this command has attached to was stopped, or its supervisor was killed."""

    code = "stopped"

    def __init__(self) -> None:
        super().__init__(
            _("the stack was stopped before it was ready"), _("by `mika down` or a kill? start it: `mika up`")
        )


def wait_for_supervisor(client: Client, deadline: float) -> bool:
    """Wait until the supervisor answers and is not stopping (True), or has exited (False).

    Raises MikaError at the deadline (monotonic seconds).
    """
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
                _("another `mika` holds this folder and does not answer"),
                unresponsive.fix_for(state.pid if state else None),
                code="busy",
            )
        time.sleep(_INTERVAL)


def lost_containers(services: Sequence[UnitStatus]) -> list[str]:
    """The names of the containers that must be started or created again."""
    containers = [unit for unit in services if unit.kind == "container"]
    completed = [unit.name for unit in containers if unit.phase is Phase.EXITED]  # one-shots that exited with code 0
    lost = [unit.name for unit in containers if unit.name not in completed and _is_lost(unit)]
    # A volume may be lost, too. Then the one-shots have to set it up again; otherwise they find nothing to do.
    return [*lost, *completed] if lost else []


def _is_lost(unit: UnitStatus) -> bool:
    return unit.is_at_rest or unit.container in _LOST_STATES.get(unit.phase, ("removed",))


class Attached:
    """The supervisor as one command sees it. `background` is set if this command started the supervisor (`up -d`), and
    `watches` if that one goes on after a failure, to wait for changed files.
    """

    def __init__(
        self, client: Client, reader: EventReader, *, background: Background | None = None, watches: bool = False
    ) -> None:
        self._client, self._events, self._background, self._watches = client, reader, background, watches
        self._types: frozenset[str] = frozenset()  # of the requested processes; empty: all
        self._was_ready = False  # according to the event log
        self.last_error = ""
        """The message with which the supervisor said that it failed, if it did."""

    @property
    def is_own(self) -> bool:
        """Whether this command started the supervisor."""
        return self._background is not None

    def start_missing(self, words: Sequence[str]) -> StackStatus:
        """Start the units that were stopped, gave up or were removed. Returns the status of the stack.

        `words` are arguments of the command line (`worker`, `worker=2`; empty: everything). Raises MikaError if one of
        them is not part of the running stack, and `StoppedError` if that stack is stopping or has stopped.
        """
        try:
            return self._start_missing(words)
        except MikaError as error:
            if isinstance(error, NotRunningError) or error.code in ("stopping", "busy"):
                raise StoppedError from None
            raise

    def _start_missing(self, words: Sequence[str]) -> StackStatus:
        status = self._client.status()
        self._types = types = frozenset(word.partition("=")[0] for word in words)
        running = {process.type for process in status.processes}
        if types - running:
            why = not_in_stack(types - running, running)
            raise MikaError(why.text, why.fix, code="not_in_stack")
        stopped = [p for p in status.processes if p.phase in (Phase.STOPPED, Phase.GAVE_UP)]
        names = [process.name for process in stopped if not types or process.type in types]
        names += [unit.name for unit in status.services if unit.kind == "process" and unit.is_at_rest]
        lost = lost_containers(status.services)
        if names:
            self._client.control("start", names)
        if lost:
            self._client.control("restart", lost)
        return self._client.status() if names or lost else status

    def until_ready(self, deadline: float, listener: Listener) -> StackStatus | None:
        """Return the status when the stack is ready, or None if all processes exited with code 0 before that.

        `listener` receives the events. Raises MikaError if the stack cannot become ready, or is not ready by `deadline`
        (monotonic seconds).
        """
        stopping_since: float | None = None
        status: StackStatus | None = None
        ask_at = 0.0
        while True:
            has_news = self.forward_events(listener)
            if self._background is not None and self._background.exit_code == 0:
                return None
            self._raise_if_failed_in_background()
            if status is None or has_news or time.monotonic() >= ask_at:
                status = self._status_or_cause(listener)
                ask_at = time.monotonic() + (0 if has_news else _STATUS_INTERVAL)  # it may tell of what is just coming
            if status is not None and self._is_ready(status):
                self.forward_events(listener)
                return status
            if status is not None and self._background is None:
                _raise_if_failed(status, _start)
            elif status is not None and self._watches:
                _raise_if_failed(status, _change)
            now = time.monotonic()
            is_stopping = self._background is not None and status is not None and status.state == "stopping"
            if is_stopping and stopping_since is None:
                stopping_since = now
            due = deadline + (status.busy_s if status is not None else 0) + (_EXTRA_SECONDS if self._background else 0)
            if now >= (due if stopping_since is None else stopping_since + _REPORT_SECONDS):
                reason = self.last_error if stopping_since is not None else ""
                raise MikaError(
                    reason or _("not ready in time: {why}", why=why_not_ready(status)),
                    _("see `mika logs`"),
                    code="not_ready",
                )
            time.sleep(_INTERVAL)

    def forward_events(self, listener: Listener) -> bool:
        """Pass the events since the last call to `listener`; whether there were any."""
        events = self._events.poll()
        for event in events:
            match event:
                case StackChanged(state="ready"):
                    self._was_ready = True
                case Notice(level="error"):
                    self.last_error = event.message
            listener(event)
        return bool(events)

    def _is_ready(self, status: StackStatus) -> bool:
        """Whether the requested processes are ready, or the whole stack if none were named."""
        requested = status.of_types(self._types)
        if all(process.is_ready for process in requested) if requested else status.state == "ready":
            return True
        # A process that crashes soon after its start may be ready only between two requests of the status.
        return self._background is not None and self._was_ready

    def _raise_if_failed_in_background(self) -> None:
        """Raise the error of the supervisor that this command started; forget it if another one was quicker."""
        if self._background is not None and self._background.exit_code is not None:
            if not self._background.lost_the_race:
                raise self._background.failure()
            self._background = None

    def _status_or_cause(self, listener: Listener) -> StackStatus | None:
        """The same as `_status`. Raises MikaError with the cause if the stack has failed since the last look."""
        try:
            return self._status()
        except StoppedError:
            self.forward_events(listener)
            if not self.last_error:
                raise
            raise MikaError(self.last_error, _("see `mika logs`"), code="failed") from None

    def _status(self) -> StackStatus | None:
        """The status; None while the supervisor does not answer."""
        try:
            return self._client.status()
        except NotRunningError:
            if self._background is None:
                raise StoppedError from None
        except MikaError:
            pass
        return None

    def stop_own(self) -> None:
        """After Ctrl-C during the start: stop the supervisor that this command started. A second Ctrl-C forces it."""
        force = False
        asked_at = time.monotonic()
        while self._background is not None and self._background.exit_code is None:
            try:
                with contextlib.suppress(MikaError):
                    self._client.down(force=force)
                    self._background.wait()
                time.sleep(_INTERVAL)
            except KeyboardInterrupt:
                # Kill everything, but still wait until it is gone.
                force = force or time.monotonic() - asked_at > SAME_INTERRUPT

    def delete_report(self) -> None:
        """Delete the report file of the background process when nobody will read it."""
        if self._background is not None:
            self._background.delete_report()


def _raise_if_failed(status: StackStatus, advice: Callable[[str], Text]) -> None:
    """Raise MikaError if a unit that the stack needs has failed for good, with the advice for one of that name."""
    for unit in (*status.processes, *(service for service in status.services if service.required)):
        if unit.has_failed:
            raise failure_of(unit, advice(unit.name))


def _start(name: str) -> Text:
    return _("run it again with `mika start {name}`", name=name)


def _change(_name: str) -> Text:
    return _("the stack stays up, and starts it again when its files change")


def not_in_stack(names: Collection[str], running: Collection[str]) -> Reason:
    """What to say of processes that are none of the stack, of which others are `running`."""
    text = _(
        "{names}: not part of the running stack ({running})",
        names=listed(sorted(names)),
        running=listed(sorted(running)),
    )
    return Reason(text, _("run `mika down`, then `mika up` with all processes that you need"))
