"""Checks of the project and of this machine: nothing here needs a running stack."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mika.address import is_loopback
from mika.doctor.check import Check, skipped
from mika.doctor.examination import Examination
from mika.errors import MikaError, UsageError
from mika.machine.local import in_thread
from mika.machine.ports import Listener, quote_path
from mika.procfile import entries as procfile
from mika.reason import Repair
from mika.status import Phase, UnitStatus

_DISK_FAIL, _DISK_WARN = 200e6, 1e9


async def config(x: Examination) -> Check:
    """The settings themselves were read already: else nothing else could be checked."""
    if not (x.config.project / "Procfile").exists():
        return Check(
            "config",
            "warn",
            f"no Procfile in {x.config.project}",
            "write one with a line for each process, or give its folder: `mika -C DIR doctor`",
        )
    try:
        procfile.read(x.config.project / "Procfile")
    except UsageError as error:
        return Check("config", "fail", error.message, error.hint or "mend that line of the Procfile")
    if x.config.value("LLM_BASE_URL") and not x.config.value("LLM_MODEL"):
        return Check(
            "config", "warn", "LLM_BASE_URL is set, and LLM_MODEL is not", "set LLM_MODEL to a model that it serves"
        )
    own = sum(setting.origin != "default" for setting in x.config.settings.values())
    return Check("config", "ok", f"{own} settings of your own, the rest are defaults (`mika config`)")


async def versions(x: Examination) -> Check:
    """Python and packages against what the project asks for."""
    wrong = await in_thread(lambda: list(_unmet(x.config.project)))
    server = await x.server() if x.wants_temporal else None
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return Check("versions", "warn", f"{wrong[0]}{more}", "`uv sync`, or `pip install -e .` in its environment")
    found = f"Python {platform.python_version()}, temporalio {metadata.version('temporalio')}"
    if server is not None and server.up:
        found += f", Temporal server {server.version}"
        if _numbers(server.version)[:1] > [1]:
            return Check(
                "versions", "warn", f"{found}: this SDK knows servers before 2.0", "install a newer temporalio"
            )
    return Check("versions", "ok", found)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".") if part.isdecimal()]


def _unmet(project: Path) -> Iterator[str]:
    try:
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return
    try:
        from packaging.requirements import InvalidRequirement, Requirement
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError:  # then nobody can judge what `>=1,<2` means
        return
    with contextlib.suppress(InvalidSpecifier):
        wanted = SpecifierSet(str(table.get("requires-python", "")))
        if not wanted.contains(platform.python_version(), prereleases=True):
            yield f"Python is {platform.python_version()}, and pyproject.toml asks for {wanted}"
    where = _site_packages(project)
    for line in table.get("dependencies", []):
        with contextlib.suppress(InvalidRequirement, InvalidSpecifier):
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate():
                continue
            found = next(iter(metadata.distributions(name=need.name, path=where)), None)
            if found is None:
                yield f"the package {need.name} is not installed"
            elif not need.specifier.contains(found.version, prereleases=True):
                yield f"{need.name} is {found.version}, and pyproject.toml asks for {need.specifier}"


def _site_packages(project: Path) -> list[str]:
    """Where the bot's packages are: the project's own environment, else the one of this program."""
    own = [
        str(path)
        for pattern in ("lib/python*/site-packages", "Lib/site-packages")
        for path in (project / ".venv").glob(pattern)
    ]
    return own or sys.path


async def disk(x: Examination) -> Check:
    folder = x.folder.root if x.folder.root.is_dir() else x.config.project
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("disk", "fail", f"{folder} cannot be read: {error.strerror or error}", "check the folder")
    found = f"{free / 1e9:.1f} GB free for {folder}"
    fix = "free some space: `mika down --volumes` deletes the data of this project"
    if free < _DISK_FAIL:
        return Check("disk", "fail", found, fix)
    return Check("disk", "warn", found, fix) if free < _DISK_WARN else Check("disk", "ok", found)


async def stack(x: Examination) -> Check:
    """The supervisor and what it has given up, apart from the API and the workers, which have checks of their own."""
    found = await x.supervisor()
    if isinstance(found, MikaError):
        pid = x.run.pid if x.run else None
        owner = f"the supervisor (pid {pid})" if pid else "the supervisor"
        fix = f"wait a moment; if it stays so, end it (`kill {pid}`): its services then stop by themselves"
        return Check("stack", "warn" if pid is None else "fail", f"{owner} does not answer: {found.message}", fix)
    if found is None:
        if x.run is not None or x.folder.marks():
            return Check(
                "stack",
                "warn",
                "a run of mika was killed here and left its state behind",
                "`mika down`",
                repair=Repair("sweep"),
            )
        return skipped("stack", "", "not started by `mika up`")
    known = {*x.types("api"), *x.types("worker")}
    for unit in found.units:
        if unit.phase in (Phase.GAVE_UP, Phase.BACKOFF) and unit.type not in known and unit.name != "temporal":
            return unit_down("stack", unit)
    told = f"{found.state}, backend {found.backend}, supervisor pid {found.supervisor_pid}"
    if x.config.outdated:
        before = ", ".join(f"{name}={x.config.text(name)}" for name in x.config.outdated)
        now = ", ".join(f"{setting.shown} ({setting.origin})" for setting in x.config.outdated.values())
        told += f"; it was started with {before}, and a new start would take {now}"
    return Check("stack", "ok", told)


def unit_down(check_id: str, unit: UnitStatus) -> Check:
    """A supervised unit that does not do its work."""
    name, reason = unit.name, unit.reason.text
    last = unit.last_exit.reason.text if unit.last_exit is not None else ""
    restart = Repair("restart", name)
    match unit.phase:
        case Phase.GAVE_UP:
            fix = f"`mika logs {name}` says more; fix it, then `mika restart {name}`"
            return Check(check_id, "fail", f"{name} gave up: {reason or last}"[:300], fix, repair=restart)
        case Phase.STOPPED:
            return Check(check_id, "fail", f"{name} was stopped", f"`mika start {name}`", repair=Repair("start", name))
        case Phase.EXITED:
            finding = f"{name} has exited ({last or 'no reason known'})"
            return Check(check_id, "fail", finding, f"`mika start {name}`", repair=Repair("start", name))
        case Phase.BACKOFF:
            return Check(
                check_id, "fail", f"{name} keeps exiting: {last or reason}"[:300], f"`mika logs {name}` says why"
            )
        case Phase.UNHEALTHY:
            return Check(check_id, "fail", f"{name} hangs: {reason}"[:300], f"`mika restart {name}`", repair=restart)
    return Check(check_id, "warn", f"{name} is {unit.state}: {reason}"[:300], "wait a moment: `mika wait`")


async def ports(x: Examination) -> Check:
    """Each port of ours that somebody else has."""
    found = await x.listeners()
    if x.wants_temporal and is_loopback(x.host):
        server = await x.server()
        if server.state == "foreign":
            return _taken(found.get(x.port), x.port, "TEMPORAL_PORT", server.detail)
    api_port = x.config.port("API_PORT")
    if x.types("api") and api_port in found and is_loopback(x.config.text("API_HOST")):
        health = await x.health()
        foreign = health.kind == "foreign" or (health.kind == "http" and health.status != 200)
        if foreign and not await x.processes("api"):
            told = f"it answers {health.status} to {x.health_url}" if health.kind == "http" else "it speaks no HTTP"
            return _taken(found[api_port], api_port, "API_PORT", told)
    wanted = [("TEMPORAL_PORT", x.port), ("API_PORT", api_port)]
    held = [
        f"{port}: {found[port]}" for name, port in wanted if port in found and (name == "API_PORT" or x.wants_temporal)
    ]
    return Check("ports", "ok", "; ".join(held) or "free")


def _taken(owner: Listener | None, port: int, variable: str, told: str) -> Check:
    who = str(owner) if owner else "another program"
    stop = f"stop it (`kill {owner.pid}`)" if owner and owner.pid else "stop that program"
    if owner and owner.stack:
        stop = f"`mika -C {quote_path(owner.stack)} down`"
    return Check(
        "ports",
        "fail",
        f"port {port} ({variable}) is taken by {who}: {told}",
        f"{stop}, or use another port: {variable}={port + 1} in .env, then `mika up`",
    )
