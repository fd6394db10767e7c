"""Turns the Procfile and its options into units: what to run, when it is ready, how to tell that it hangs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

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
from mika.readiness.probes import LogLine, http_ok, tcp
from mika.readiness.temporal import StuckTask, TemporalProbe
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.policy import Rules
from mika.supervisor.reload import DEFAULT_PATTERNS
from mika.supervisor.unit import Launch, Probes, Unit, no_probes
from mika.supervisor.watch import Liveness
from mika.text import unknown_name

_ASK_TIMEOUT = 1.5
API_PATIENCE = 10.0
"""Seconds after which an API that accepts connections and answers nothing is hung."""


class ProcessFactory:
    """Makes the units of one project. All of its input is checked here, before anything is started."""

    def __init__(
        self, config: Config, folder: ProjectDir, *, has_temporal: bool, env: Mapping[str, str] | None = None
    ) -> None:
        self._config, self._folder = config, folder
        self._has_temporal = has_temporal
        self._env = config.child_env() | dict(env or {})
        self._hang_timeout = config.number("MIKA_HANG_TIMEOUT")
        self._temporal: TemporalProbe = temporal_probe(config)

    def units(self, selection: Sequence[str]) -> list[Unit]:
        """Units for the processes of the Procfile that `selection` names (`worker`, `worker=2`; empty: all).

        Raises UsageError for a Procfile, an option or a command that cannot work.
        """
        entries = procfile.read(self._config.project / "Procfile")
        names = [entry.name for entry in entries]
        for table, where in self._config.process_tables.items():
            if table not in names:
                raise UsageError(f"{where}: {unknown_name('process', table, names).message}")
        counts = {entry.name: self._config.process(entry.name).count for entry in entries}
        entries, given = procfile.select(entries, selection)
        instances = procfile.expand(entries, counts | given, self._env)
        self._check_needs(names)
        return [self._unit(instance) for instance in instances]

    def _check_needs(self, names: Sequence[str]) -> None:
        """Raise UsageError for a need that does not exist, and for processes that wait for each other."""
        needs = {name: self._config.process(name).needs or () for name in names}
        for name, wanted in needs.items():
            where = self._config.process_tables.get(name, "")
            for need in wanted:
                if need != "temporal" and need not in names:
                    raise UsageError(f"{where}: {unknown_name('process', need, [*names, 'temporal']).message}")
        try:
            tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = " needs ".join(reversed(error.args[1]))
            where = self._config.process_tables.get(error.args[1][0], "")
            raise UsageError(f"{where}: {circle}: none of them could ever start", "remove one of these needs") from None

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
        """What the stack knows by itself: its API and its worker. Without Temporal there is no such stack."""
        if self._has_temporal and process_type == "worker":
            return f"worker:{self._config.text('TEMPORAL_TASK_QUEUE')}"
        if self._has_temporal and process_type == "api":
            return f"{self._config.api_url}/healthz"
        return "none"

    def _needs(self, process_type: str, options: ProcessOptions, ready: str) -> tuple[str, ...]:
        if options.needs is not None:
            return options.needs
        knows_temporal = self._has_temporal and (process_type == "api" or parse_ready(ready).kind == "worker")
        return ("temporal",) if knows_temporal else ()

    def _probes(self, name: str, ready: str) -> Probes:
        rule = parse_ready(ready)
        match rule.kind:
            case "worker":
                return self._worker_probes(rule.target)
            case "http":
                return _http_probes(rule.target, API_PATIENCE if self._hang_timeout > 0 else None)
            case "tcp":
                rung = Rung(f"port {rule.target}", lambda: tcp("127.0.0.1", int(rule.target)))
                return lambda launch: ([rung], self._beat(launch))
            case "log":
                return lambda launch: ([_log_rung(self._folder.logs, name, rule.target)], self._beat(launch))
            case _:
                return lambda launch: (no_probes(launch)[0], self._beat(launch))

    def _worker_probes(self, queue: str) -> Probes:
        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            rung = Rung("polling", lambda: self._temporal.worker_polls(queue, launch.identity, launch.pids))
            return [rung], self._beat(launch, queue)

        return probes

    def _beat(self, launch: Launch, queue: str = "") -> Liveness | None:
        """Watch the beat from inside the event loop; a worker that never beat is judged by what the server sees."""
        if self._hang_timeout <= 0 or launch.beat_file is None:
            return None
        beat_file, seen = launch.beat_file, [0]

        async def probe() -> str:
            try:
                beat = beat_file.stat().st_mtime_ns
            except OSError:
                if queue and not seen[0]:
                    await self._no_stuck_task(queue, launch)
                return f"polling {queue}" if queue else "running"
            if beat == seen[0]:
                raise NotYet("its event loop does not run (no beat)")
            seen[0] = beat
            return f"polling {queue}" if queue else "running"

        return Liveness(probe, interval=min(1.0, self._hang_timeout / 2), patience=self._hang_timeout)

    async def _no_stuck_task(self, queue: str, launch: Launch) -> None:
        """Only what the server says of this worker counts: that the server is away is not the worker's fault."""
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                await self._temporal.no_stuck_task(queue, launch.identity, launch.pids, self._hang_timeout / 2)
        except NotYet as stuck:
            if isinstance(stuck, StuckTask):
                raise
        except Exception:  # noqa: BLE001, S110 - any failure to ask
            pass


def _http_probes(url: str, patience: float | None) -> Probes:
    rung = Rung("answers", lambda: http_ok(url))

    def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
        del launch
        return [rung], Liveness(rung.probe, interval=2.0, patience=patience)

    return probes


def _log_rung(folder: Path, name: str, pattern: str) -> Rung:
    follower, line = logs.Follower(folder, name, tail=0), LogLine(pattern)

    async def probe() -> str:
        return line.search(logs.decode(found.data) for found in follower.poll())

    return Rung(f"a line that matches {pattern!r}", probe)


def check_ports(config: Config, units: Sequence[Unit]) -> None:
    """Raise UsageError when the API's port is taken: uvicorn would only die, and say so in its own log."""
    if any(unit.address.startswith(config.api_url) for unit in units):
        ports.check_free(config.text("API_HOST"), config.port("API_PORT"), "API_PORT")
