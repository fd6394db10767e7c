"""Turn the Procfile and its options into units: what to run, when it is ready, and how to detect that it hangs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from urllib.parse import urlsplit

from mika.address import is_loopback
from mika.backends.base import temporal_probe
from mika.config.load import Config
from mika.config.process_options import ProcessOptions, parse_ready
from mika.errors import UsageError
from mika.machine import ports
from mika.procfile import command
from mika.procfile import entries as procfile
from mika.project import logs
from mika.project.folder import ProjectDir
from mika.readiness.ladder import NotYet, Rung
from mika.readiness.probes import LogLine, UnwelcomeAnswer, http_ok, tcp_here
from mika.readiness.temporal import StuckTask, TemporalProbe
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.policy import Rules
from mika.supervisor.reload import DEFAULT_PATTERNS
from mika.supervisor.unit import Launch, Probes, Unit, no_probes
from mika.supervisor.watch import Liveness
from mika.text import unknown_name

_ASK_TIMEOUT = 1.5  # s
API_PATIENCE = 10.0
"""Seconds without an answer after which an API that still accepts connections is hung."""


class ProcessFactory:
    """Creates the units of one project. It checks all of its input, so nothing is started if there is a mistake."""

    def __init__(
        self, config: Config, folder: ProjectDir, *, has_temporal: bool, env: Mapping[str, str] | None = None
    ) -> None:
        self._config, self._folder = config, folder
        self._has_temporal = has_temporal
        self._env = config.child_env() | dict(env or {})
        self._hang_timeout = config.number("MIKA_HANG_TIMEOUT")
        self._temporal: TemporalProbe = temporal_probe(config)

    def units(self, selection: Sequence[str]) -> list[Unit]:
        """The units for the processes of the Procfile that `selection` names (`worker`, `worker=2`; empty: all).

        Raises UsageError for a mistake in the Procfile, an option or a command.
        """
        entries = procfile.read(self._config.project / "Procfile")
        names = [entry.name for entry in entries]
        for table, where in self._config.process_tables.items():
            if table not in names:
                raise UsageError(f"{where}: {unknown_name('process', table, names).message}")
        counts = {entry.name: self._config.process(entry.name).count for entry in entries}
        entries, selected_counts = procfile.select(entries, selection)
        instances = procfile.expand(entries, counts | selected_counts, self._env)
        self._check_needs(names)
        return [self._unit(instance) for instance in instances]

    def _check_needs(self, names: Sequence[str]) -> None:
        """Raise UsageError for a need that does not exist, and for processes that need each other."""
        needs = {name: self._config.process(name).needs or () for name in names}
        for name, needed in needs.items():
            where = self._config.process_tables.get(name, "")
            for need in needed:
                if need != "temporal" and need not in names:
                    raise UsageError(f"{where}: {unknown_name('process', need, [*names, 'temporal']).message}")
        try:
            tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            cycle = " needs ".join(reversed(error.args[1]))
            where = self._config.process_tables.get(error.args[1][0], "")
            raise UsageError(f"{where}: {cycle}: none of them can ever start", "remove one of these needs") from None

    def _unit(self, instance: procfile.Instance) -> Unit:
        options = self._config.process(instance.type)
        cwd = self._config.project / options.cwd if options.cwd else self._config.project
        beat_file = self._folder.run / f"{instance.name}.beat"
        env = {**self._env, "PORT": str(instance.port), **options.env}
        env |= {"MIKA_PROCESS": instance.name, "MIKA_BEAT_FILE": str(beat_file)}
        built = command.build(instance.command, env, cwd, where=f"Procfile:{instance.line}", platform=sys.platform)
        env |= built.env

        def spec(launch: Launch) -> ServiceSpec:
            return ServiceSpec(
                name=instance.name,
                command=built.line,
                cwd=cwd,
                env={**env, "MIKA_RUN_ID": launch.run_id, "MIKA_WORKER_IDENTITY": launch.identity},
                log_dir=self._folder.logs,
                log_max_bytes=int(self._config.number("MIKA_LOG_MAX_MB") * 1e6),
                stop_signal=options.stop_signal,
                grace=options.grace,
            )

        ready = options.ready or self._default_ready(instance.type)
        return Unit(
            name=instance.name,
            type=instance.type,
            role="process",
            address=ready,
            spec=spec,
            probes=self._probes(instance.name, ready),
            needs=self._needs(instance.type, options, ready),
            rules=Rules(restart=options.restart, early=options.early),
            beat_file=beat_file,
            behind_shell=built.behind_shell,
            watch=DEFAULT_PATTERNS if options.watch is None else options.watch,
        )

    def _default_ready(self, process_type: str) -> str:
        """The rule for a process without a `ready` option: with Temporal, `api` and `worker` have a default."""
        if self._has_temporal and process_type == "worker":
            return f"worker:{self._config.text('TEMPORAL_TASK_QUEUE')}"
        if self._has_temporal and process_type == "api":
            return f"{self._config.api_url}/healthz"
        return "none"

    def _needs(self, process_type: str, options: ProcessOptions, ready: str) -> tuple[str, ...]:
        if options.needs is not None:
            return options.needs
        uses_temporal = self._has_temporal and (process_type == "api" or parse_ready(ready).kind == "worker")
        return ("temporal",) if uses_temporal else ()

    def _probes(self, name: str, ready: str) -> Probes:
        rule = parse_ready(ready)
        match rule.kind:
            case "worker":
                return self._worker_probes(rule.target)
            case "http":
                return _http_probes(rule.target, API_PATIENCE if self._hang_timeout > 0 else None)
            case "tcp":
                return self._tcp_probes(int(rule.target))
            case "log":
                return lambda launch: ([_log_rung(self._folder.logs, name, rule.target)], self._beat(launch))
            case _:
                return lambda launch: (no_probes(launch)[0], self._beat(launch))

    def _tcp_probes(self, port: int) -> Probes:
        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            rung = Rung(f"port {port}", lambda: _own_answer(launch, port, tcp_here(port)))
            return [rung], self._beat(launch)

        return probes

    def _worker_probes(self, queue: str) -> Probes:
        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            rung = Rung("polling", lambda: self._temporal.worker_polls(queue, launch.identity, launch.pids))
            return [rung], self._beat(launch, queue)

        return probes

    def _beat(self, launch: Launch, queue: str = "") -> Liveness | None:
        """Watch the beat file, which the process touches from its event loop.

        For a worker that has never touched it, ask the server for a task that is stuck on this worker.
        """
        if self._hang_timeout <= 0 or launch.beat_file is None:
            return None
        beat_file, last_beat = launch.beat_file, 0

        async def probe() -> str:
            nonlocal last_beat
            try:
                beat = beat_file.stat().st_mtime_ns
            except OSError:
                if queue and not last_beat:
                    await self._check_no_stuck_task(queue, launch)
                return f"polling {queue}" if queue else "running"
            if beat == last_beat:
                raise NotYet("its event loop is not running (no beat)")
            last_beat = beat
            return f"polling {queue}" if queue else "running"

        return Liveness(probe, interval=min(1.0, self._hang_timeout / 2), patience=self._hang_timeout)

    async def _check_no_stuck_task(self, queue: str, launch: Launch) -> None:
        """Raise StuckTask if the server reports one. Other errors are ignored: a server outage is not a hung worker."""
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                await self._temporal.no_stuck_task(queue, launch.identity, launch.pids, self._hang_timeout / 2)
        except NotYet as stuck:
            if isinstance(stuck, StuckTask):
                raise
        except Exception:  # noqa: BLE001, S110 - the server could not be asked
            pass


def _http_probes(url: str, patience: float | None) -> Probes:
    port = own_port(url)

    def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
        rung = Rung("answers", lambda: _own_answer(launch, port, http_ok(url)))
        return [rung], Liveness(lambda: http_ok(url), interval=2.0, patience=patience, not_hung=(UnwelcomeAnswer,))

    return probes


async def _own_answer(launch: Launch, port: int | None, answer: Awaitable[str]) -> str:
    """What answers must be this process: another program on the port would look ready while ours cannot listen."""
    detail = await answer
    if port is not None and (
        stranger := await asyncio.to_thread(ports.find_stranger, port, launch.pids(), launch.run_id)
    ):
        raise NotYet(f"port {port} is answered by {stranger}, not by this process")
    return detail


def own_port(ready: str) -> int | None:
    """The port of this machine that a `ready` rule probes; None for other rules, and other machines."""
    rule = parse_ready(ready)
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


def check_ports(config: Config, units: Sequence[Unit]) -> None:
    """Raise UsageError when a port is in use that a process is probed at: ours could not listen, and not be ready."""
    for unit in units:
        if unit.address.startswith(config.api_url):
            ports.check_free(config.text("API_HOST"), config.port("API_PORT"), "API_PORT")
        elif unit.role == "process" and (port := own_port(unit.address)):
            listener = ports.find_listener("127.0.0.1", port) or ports.find_listener("::1", port)
            if listener is not None:
                raise UsageError(
                    f"port {port} is taken by {ports.describe_listener(listener)}, and {unit.name} is to listen there",
                    f"stop that program, or give {unit.name} another port (and change its `ready` setting)",
                    code="port_taken",
                )
