"""How each form of `ready` is probed, and how a process that hangs is detected."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mika.address import is_loopback
from mika.config.process_options import Ready, parse_ready
from mika.machine import ports
from mika.machine.local import CpuUse, process_state
from mika.project import logs
from mika.readiness.ladder import AtWork, NotYet, Rung
from mika.readiness.probes import UnwelcomeAnswer, http_ok, tcp_here
from mika.reason import Reason
from mika.stack.elsewhere import Elsewhere
from mika.supervisor.unit import Launch, Probes, no_probes
from mika.supervisor.watch import Liveness
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.readiness.stuck import IsOwn
    from mika.readiness.temporal import TemporalProbe
    from mika.stack.check_command import CheckCommand

_ASK_TIMEOUT = 1.5  # s
_CHECK_TIMEOUT = 10.0  # s; a check command may be a program in Python, which needs one to start
_ASK_EVERY = 4.0
"""Seconds between two questions about stuck tasks: each asks the server about many workflows."""
_LOOK_EVERY, _QUIET = 15.0, 90.0
"""Seconds between two looks at when a worker polled, and after which one that did not is unhealthy: an idle one renews
its poll once a minute."""
_BUSY = 0.05
"""The share of one CPU above which a worker is at work; the SDK's own threads need a tenth of that."""
_OTHER_TYPE = 1.0
"""Seconds after the first poll in which a worker that takes both types of tasks polls for the other one, too."""
_CALM = 5.0
"""Seconds between two requests to a process that is well: each is a line in its access log."""
API_PATIENCE = 10.0
"""Seconds without an answer after which an API that still accepts connections is hung."""


class ProbeFactory:
    """Makes the probes of the processes of one project. `hang_timeout` is in seconds; 0 switches the detection off.

    `make_temporal` is called for workers alone: what it needs takes long to import. `queues_in_code` takes seconds.
    """

    def __init__(
        self,
        make_temporal: Callable[[], TemporalProbe],
        log_folder: Path,
        hang_timeout: float,
        queues_in_code: Callable[[], Collection[str]],
    ) -> None:
        self._make_temporal, self._log_folder, self._hang_timeout = make_temporal, log_folder, hang_timeout
        self._queues_in_code = queues_in_code

    def make(self, name: str, ready: str, hang_timeout: float | None, check: CheckCommand | None) -> Probes:
        """The probes for the rule `ready`. `hang_timeout` is the process's own one; `check` is needed for `exec:`."""
        rule = parse_ready(ready)
        timeout = self._hang_timeout if hang_timeout is None else hang_timeout
        if rule.kind == "http":
            return _http_probes(rule, (hang_timeout or API_PATIENCE) if timeout > 0 else None)
        if rule.kind == "worker":
            return self._worker_probes(name, rule, timeout)
        make_rung = self._rung(name, rule, check)
        if make_rung is None:
            return lambda launch: (no_probes(launch)[0], self._beat(launch, timeout))
        return lambda launch: ([make_rung(launch)], self._beat(launch, timeout))

    def _worker_probes(self, name: str, rule: Ready, timeout: float) -> Probes:
        from mika.readiness.temporal import is_identity_of

        temporal = self._make_temporal()

        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            is_own = is_identity_of(launch.identity, launch.pids)
            rules = (rule, *rule.others)
            named = [one.queue for one in rules]
            elsewhere = Elsewhere(name, named, temporal, launch.pids, is_own, self._queues_in_code)
            queues = [_Polling(name, temporal, launch, one, is_own, elsewhere) for one in rules]

            async def all_polled() -> str:
                await asyncio.gather(*(polling.probe() for polling in queues))
                return _polled(queues)

            return [Rung(_("polling"), all_polled)], self._beat(launch, timeout, queues)

        return probes

    def _rung(self, name: str, rule: Ready, check: CheckCommand | None) -> Callable[[Launch], Rung] | None:
        match rule.kind:
            case "tcp":
                port = int(rule.target)
                return lambda launch: Rung(
                    _("port {port}", port=port), lambda: _own_answer(launch, port, tcp_here(port))
                )
            case "log":
                return lambda _launch: _log_rung(self._log_folder, name, rule.target)
            case "exec" if check is not None:
                return lambda launch: Rung(f"`{rule.target}`", lambda: check.run(launch.run_id), _CHECK_TIMEOUT)
        return None

    def _beat(self, launch: Launch, timeout: float, queues: Sequence[_Polling] = ()) -> Liveness | None:
        """Watch the beat file, which the process touches from its event loop.

        A worker must still poll its `queues`; one that has never touched the file must not let its tasks time out.
        """
        if timeout <= 0 or launch.beat_file is None:
            return None
        beat_file, last_beat = launch.beat_file, 0
        detail = _polled(queues) if queues else _("running")

        async def probe() -> str:
            nonlocal last_beat
            try:
                beat = beat_file.stat().st_mtime_ns
            except OSError:
                if not last_beat:
                    await asyncio.gather(*(polling.still() for polling in queues))
                return detail
            if beat == last_beat:
                raise NotYet(_("its event loop is not running (no beat)"))
            last_beat = beat
            await asyncio.gather(*(polling.still_polls() for polling in queues))
            return detail

        return Liveness(probe, interval=min(1.0, timeout / 2), patience=timeout, not_hung=(AtWork,))


class _Polling:
    """Ready means that the worker polls for the tasks that the rule names.

    Without a name these are both types, or the only type that it has: the other one never comes.
    """

    def __init__(
        self, name: str, temporal: TemporalProbe, launch: Launch, rule: Ready, is_own: IsOwn, elsewhere: Elsewhere
    ) -> None:
        self._name, self._temporal, self._launch, self._rule = name, temporal, launch, rule
        self._is_own, self._elsewhere = is_own, elsewhere
        self.queue = rule.queue
        self._cpu = CpuUse(launch.pids)
        self._first_poll: float | None = None
        self._asked_at = float("-inf")
        self._stuck: NotYet | None = None
        self._looked_at, self._last_poll, self._quiet_s = float("-inf"), 0.0, 0.0
        self._pids: set[int] = set()
        """The processes that poll, as far as their identities tell."""

    async def probe(self) -> None:
        from mika.diagnosis.untaken import pid_of
        from mika.readiness.temporal import NotPolling, exited_before

        queue, wanted = self.queue, self._rule.task_type
        try:
            has_exited = exited_before(self._launch.identity)
            pollers = await self._temporal.own_pollers(queue, self._is_own, has_exited=has_exited)
        except NotPolling as error:
            if elsewhere := self._elsewhere.reason(queue):
                raise NotYet(elsewhere) from error
            raise
        polled = {polled.name.lower() for polled in pollers}
        if wanted and wanted not in polled:
            raise NotYet(_("it polls {queue}, but not for {kind} tasks", queue=queue, kind=wanted))
        self._first_poll = self._first_poll or time.monotonic()
        if len(polled) == 1 and not wanted and time.monotonic() - self._first_poll < _OTHER_TYPE:
            raise NotYet(_("it polls {queue} only for {kind} tasks so far", queue=queue, kind=polled.pop()))
        self._pids = {pid for identity in set().union(*pollers.values()) if (pid := pid_of(identity)) is not None}

    async def still(self) -> None:
        """Raise NotYet if it does not work any more. A server that cannot be asked is not the fault of the worker."""
        await self._answers()
        self._goes_on()
        await self.still_polls()

    def _goes_on(self) -> None:
        """Raise AtWork if it is suspended. It is not killed while it keeps nobody waiting."""
        from mika.diagnosis.untaken import SUSPENDED, how_to_resume

        for pid in self._pids:
            if process_state(pid) == "stopped":
                fix = how_to_resume(pid, _("`mika restart {name}`", name=self._name))
                raise AtWork(Reason(_("it is {suspended}", suspended=SUSPENDED), fix))

    async def still_polls(self) -> None:
        """Raise AtWork if it has not polled for long, though it runs no activity: its worker may have ended inside it.

        Only the time in which the supervisor was awake counts.
        """
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY:
            elapsed, self._looked_at = now - self._looked_at, now
            try:
                async with asyncio.timeout(_ASK_TIMEOUT):
                    await self._count_quiet(elapsed)
            except Exception:  # noqa: BLE001 - the server could not be asked
                self._quiet_s = 0.0
        if self._quiet_s >= _QUIET:
            text = _("it has not polled {queue} for {seconds:.0f} s", queue=self.queue, seconds=self._quiet_s)
            fix = _("`mika logs {name}` may say why; `mika restart {name}` starts it again", name=self._name)
            raise AtWork(Reason(text, fix))

    async def _count_quiet(self, elapsed: float) -> None:
        last_poll = await self._temporal.last_poll(self.queue, self._is_own)
        if math.isinf(elapsed) or last_poll > self._last_poll or await self._temporal.runs_activities(self._is_own):
            self._last_poll, self._quiet_s = last_poll, 0.0
        else:
            self._quiet_s += min(elapsed, 2 * _LOOK_EVERY)

    async def _answers(self) -> None:
        """Raise NotYet if its process is gone, or if it lets its tasks time out."""
        is_busy = self._cpu.share() > _BUSY
        is_gone = bool(self._pids) and self._pids.isdisjoint(self._launch.pids())
        if is_busy and not is_gone:
            self._stuck = None
            return
        if time.monotonic() - self._asked_at < _ASK_EVERY and not is_gone:
            if self._stuck is not None:
                raise self._stuck
            return
        self._asked_at, self._stuck = time.monotonic(), None
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                if is_gone:
                    await self._take_over()
                else:
                    await self._temporal.no_stuck_task(self.queue, self._is_own)
        except NotYet as stuck:
            is_suspended = any(process_state(pid) == "stopped" for pid in self._pids)
            self._stuck = NotYet(stuck.reason.text) if is_suspended and isinstance(stuck, AtWork) else stuck
            raise self._stuck from None
        except Exception:  # noqa: BLE001, S110 - the server could not be asked
            pass

    async def _take_over(self) -> None:
        """The process that polled is gone, and its tree lives on: nodemon starts another one, a shell does not."""
        gone = ", ".join(map(str, sorted(self._pids)))
        try:
            await self.probe()
        except NotYet as error:
            raise NotYet(_("its worker (pid {pids}) is gone: {why}", pids=gone, why=error.reason.text)) from None


def _polled(queues: Sequence[_Polling]) -> str:
    return _("polling {queues}", queues=listed(polling.queue for polling in queues))


def _http_probes(rule: Ready, patience: float | None) -> Probes:
    url, port = rule.target, own_port(rule)

    def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
        rung = Rung(_("answers"), lambda: _own_answer(launch, port, http_ok(url, rule.status)))
        liveness = Liveness(
            lambda: http_ok(url, rule.status),
            interval=2.0,
            patience=patience,
            not_hung=(UnwelcomeAnswer,),
            calm=_CALM,
        )
        return [rung], liveness

    return probes


async def _own_answer(launch: Launch, port: int | None, answer: Awaitable[str]) -> str:
    """What answers must be this process: another program on the port would look ready while ours cannot listen."""
    detail = await answer
    if port is not None and (
        stranger := await asyncio.to_thread(ports.find_stranger, port, launch.pids(), launch.run_id)
    ):
        raise NotYet(_("port {port} is answered by {program}, not by this process", port=port, program=stranger))
    return detail


def own_port(rule: Ready) -> int | None:
    """The port of this machine that a `ready` rule probes; None for other rules, and other machines."""
    if rule.kind == "tcp":
        return int(rule.target)
    parts = urlsplit(rule.target) if rule.kind == "http" else None
    if parts is None or not is_loopback(parts.hostname or ""):
        return None
    return parts.port or (443 if parts.scheme == "https" else 80)


def _log_rung(folder: Path, name: str, pattern: str) -> Rung:
    from mika.readiness.log_line import LogLine  # few have such a rule

    follower, line = logs.Follower(folder, name, tail=0), LogLine(pattern)

    async def probe() -> str:
        return await line.search(logs.decode(new_line.data) for new_line in follower.poll())

    return Rung(_("a line that matches {pattern!r}", pattern=pattern), probe, _CHECK_TIMEOUT)
