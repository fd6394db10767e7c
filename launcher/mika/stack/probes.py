"""How each form of `ready` is probed, and how a process that hangs is detected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from mika.address import is_loopback
from mika.config.process_options import Ready, parse_ready
from mika.machine import ports
from mika.project import logs
from mika.readiness.ladder import NotYet, Rung
from mika.readiness.probes import CHECK_TIMEOUT, CheckCommand, LogLine, UnwelcomeAnswer, http_ok, tcp_here
from mika.readiness.temporal import StuckTask, TemporalProbe
from mika.supervisor.unit import Launch, Probes, no_probes
from mika.supervisor.watch import Liveness

_ASK_TIMEOUT = 1.5  # s
API_PATIENCE = 10.0
"""Seconds without an answer after which an API that still accepts connections is hung."""


class ProbeFactory:
    """Makes the probes of the processes of one project. `hang_timeout` is in seconds; 0 switches the detection off."""

    def __init__(self, temporal: TemporalProbe, log_folder: Path, hang_timeout: float) -> None:
        self._temporal, self._log_folder, self._hang_timeout = temporal, log_folder, hang_timeout

    def make(self, name: str, ready: str, hang_timeout: float | None, check: CheckCommand | None) -> Probes:
        """The probes for the rule `ready`. `hang_timeout` is the process's own one; `check` is needed for `exec:`."""
        rule = parse_ready(ready)
        timeout = self._hang_timeout if hang_timeout is None else hang_timeout
        if rule.kind == "http":
            return _http_probes(rule, (hang_timeout or API_PATIENCE) if timeout > 0 else None)
        make_rung = self._rung(name, rule, check)
        if make_rung is None:
            return lambda launch: (no_probes(launch)[0], self._beat(launch, timeout))
        queue = rule.target if rule.kind == "worker" else ""
        return lambda launch: ([make_rung(launch)], self._beat(launch, timeout, queue))

    def _rung(self, name: str, rule: Ready, check: CheckCommand | None) -> Callable[[Launch], Rung] | None:
        match rule.kind:
            case "worker":
                polls = self._temporal.worker_polls
                return lambda launch: Rung("polling", lambda: polls(rule.target, launch.identity, launch.pids))
            case "tcp":
                port = int(rule.target)
                return lambda launch: Rung(f"port {port}", lambda: _own_answer(launch, port, tcp_here(port)))
            case "log":
                return lambda _launch: _log_rung(self._log_folder, name, rule.target)
            case "exec" if check is not None:
                return lambda launch: Rung(f"`{rule.target}`", lambda: check.run(launch.run_id), CHECK_TIMEOUT)
        return None

    def _beat(self, launch: Launch, timeout: float, queue: str = "") -> Liveness | None:
        """Watch the beat file, which the process touches from its event loop.

        For a worker that has never touched it, ask the server for a task that is stuck on this worker.
        """
        if timeout <= 0 or launch.beat_file is None:
            return None
        beat_file, last_beat = launch.beat_file, 0

        async def probe() -> str:
            nonlocal last_beat
            try:
                beat = beat_file.stat().st_mtime_ns
            except OSError:
                if queue and not last_beat:
                    await self._check_no_stuck_task(queue, launch, timeout / 2)
                return f"polling {queue}" if queue else "running"
            if beat == last_beat:
                raise NotYet("its event loop is not running (no beat)")
            last_beat = beat
            return f"polling {queue}" if queue else "running"

        return Liveness(probe, interval=min(1.0, timeout / 2), patience=timeout)

    async def _check_no_stuck_task(self, queue: str, launch: Launch, seconds: float) -> None:
        """Raise StuckTask if the server reports one. Other errors are ignored: a server outage is not a hung worker."""
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                await self._temporal.no_stuck_task(queue, launch.identity, launch.pids, seconds)
        except NotYet as stuck:
            if isinstance(stuck, StuckTask):
                raise
        except Exception:  # noqa: BLE001, S110 - the server could not be asked
            pass


def _http_probes(rule: Ready, patience: float | None) -> Probes:
    url, port = rule.target, own_port(rule)

    def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
        rung = Rung("answers", lambda: _own_answer(launch, port, http_ok(url, rule.status)))
        liveness = Liveness(
            lambda: http_ok(url, rule.status), interval=2.0, patience=patience, not_hung=(UnwelcomeAnswer,)
        )
        return [rung], liveness

    return probes


async def _own_answer(launch: Launch, port: int | None, answer: Awaitable[str]) -> str:
    """What answers must be this process: another program on the port would look ready while ours cannot listen."""
    detail = await answer
    if port is not None and (
        stranger := await asyncio.to_thread(ports.find_stranger, port, launch.pids(), launch.run_id)
    ):
        raise NotYet(f"port {port} is answered by {stranger}, not by this process")
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
    follower, line = logs.Follower(folder, name, tail=0), LogLine(pattern)

    async def probe() -> str:
        return line.search(logs.decode(new_line.data) for new_line in follower.poll())

    return Rung(f"a line that matches {pattern!r}", probe)
