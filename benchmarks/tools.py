"""The supervisors that are compared: how each one is told to run the same two services.

mika and honcho are always there (both belong to this project); the others when they are on PATH.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import common


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run the services of one measurement. `logs` maps a service to its log file, where the tool writes one."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, Path] = field(default_factory=dict)
    shows: bool = True
    """Whether it prints what the services write."""
    stop: Sequence[str] | None = None
    """Instead of a signal to it."""
    pid_file: Path | None = None
    """Of the daemon, where the command that was typed does not stay."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`restarts` False: it has no restart of a process that died (or stops everything instead)."""

    name: str
    program: str
    restarts: bool
    plan: Callable[[Path, Mapping[str, Sequence[str]]], Plan]


Services = Mapping[str, Sequence[str]]


def procfile(folder: Path, services: Services) -> None:
    lines = [f"{name}: {shlex.join(argv)}\n" for name, argv in services.items()]
    (folder / "Procfile").write_text("".join(lines), encoding="utf-8")


def _mika(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    logs = {name: folder / ".mika" / "logs" / f"{name}.log" for name in services}
    # Room for all output in one segment, so that it can be compared byte by byte.
    return Plan([*common.mika(), "up", "--backend", "none"], {"MIKA_LOG_MAX_MB": "4000"}, logs)


def _honcho(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    return Plan([sys.executable, "-m", "honcho", "start"])


def _goreman(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    return Plan(["goreman", "-set-ports=false", "start"])


def _hivemind(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    return Plan(["hivemind"])


def _foreman(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    return Plan(["foreman", "start"])


def _overmind(folder: Path, services: Services) -> Plan:
    procfile(folder, services)
    return Plan(["overmind", "start", "--auto-restart", "all", "--no-port"], stop=["overmind", "quit"])


def _process_compose(folder: Path, services: Services) -> Plan:
    logs = {name: folder / f"{name}.log" for name in services}
    processes = {
        name: {
            "command": shlex.join(argv),
            "availability": {"restart": "always", "backoff_seconds": 1},
            "log_location": str(logs[name]),
            "disable_json_output": True,
        }
        for name, argv in services.items()
    }
    text = json.dumps({"version": "0.5", "processes": processes})  # JSON is YAML
    (folder / "process-compose.yaml").write_text(text, encoding="utf-8")
    port = str(common.free_ports(1)[0])
    return Plan(["process-compose", "up", "--tui=false", "--port", port], logs=logs)


def _supervisord(folder: Path, services: Services) -> Plan:
    logs = {name: folder / f"{name}.log" for name in services}
    text = f"[supervisord]\nnodaemon=true\nlogfile={folder}/supervisord.log\npidfile={folder}/supervisord.pid\n"
    for name, argv in services.items():
        text += f"[program:{name}]\ncommand={shlex.join(argv).replace('%', '%%')}\nautorestart=true\n"
        text += f"stdout_logfile={logs[name]}\nstdout_logfile_maxbytes=0\nredirect_stderr=true\n"
    (folder / "supervisord.conf").write_text(text, encoding="utf-8")
    return Plan(["supervisord", "-c", str(folder / "supervisord.conf")], logs=logs, shows=False)


def _circusd(folder: Path, services: Services) -> Plan:
    logs = {name: folder / f"{name}.log" for name in services}
    one, two = common.free_ports(2)
    text = f"[circus]\nendpoint = tcp://127.0.0.1:{one}\npubsub_endpoint = tcp://127.0.0.1:{two}\n"
    for name, argv in services.items():
        text += f"[watcher:{name}]\ncmd = {shlex.join(argv)}\ncopy_env = True\n"
        text += f"stdout_stream.class = FileStream\nstdout_stream.filename = {logs[name]}\n"
    (folder / "circus.ini").write_text(text, encoding="utf-8")
    return Plan(["circusd", str(folder / "circus.ini")], logs=logs, shows=False)


def _pm2(folder: Path, services: Services) -> Plan:
    home = folder / "pm2"
    logs = {name: folder / f"{name}.log" for name in services}
    apps = [
        {
            "name": name,
            "script": argv[0],
            "args": list(argv[1:]),
            "interpreter": "none",
            "out_file": str(logs[name]),
            "error_file": str(folder / f"{name}.err"),
            "kill_timeout": 5000,
        }
        for name, argv in services.items()
    ]
    (folder / "pm2.json").write_text(json.dumps({"apps": apps}), encoding="utf-8")
    env = {"PM2_HOME": str(home), "PM2_DISABLE_VERSION_CHECK": "true"}
    return Plan(["pm2", "start", "pm2.json"], env, logs, shows=False, stop=["pm2", "kill"], pid_file=home / "pm2.pid")


def _concurrently(folder: Path, services: Services) -> Plan:
    del folder
    commands = [shlex.join(argv) for argv in services.values()]
    names = ",".join(services)
    return Plan(["concurrently", "--names", names, "--restart-tries", "-1", *commands])


TOOLS = (
    Tool("mika", sys.executable, restarts=True, plan=_mika),
    Tool("honcho", sys.executable, restarts=False, plan=_honcho),
    Tool("overmind", "overmind", restarts=True, plan=_overmind),
    Tool("goreman", "goreman", restarts=False, plan=_goreman),
    Tool("hivemind", "hivemind", restarts=False, plan=_hivemind),
    Tool("foreman", "foreman", restarts=False, plan=_foreman),
    Tool("process-compose", "process-compose", restarts=True, plan=_process_compose),
    Tool("supervisord", "supervisord", restarts=True, plan=_supervisord),
    Tool("circusd", "circusd", restarts=True, plan=_circusd),
    Tool("pm2", "pm2", restarts=True, plan=_pm2),
    Tool("concurrently", "concurrently", restarts=True, plan=_concurrently),
)


def present(only: Sequence[str]) -> list[Tool]:
    """The tools that can be run here, or those of them that are named."""
    found = [tool for tool in TOOLS if shutil.which(tool.program)]
    unknown = set(only) - {tool.name for tool in TOOLS}
    if unknown:
        raise SystemExit(f"no such tool: {', '.join(sorted(unknown))}; known are {', '.join(t.name for t in TOOLS)}")
    return [tool for tool in found if not only or tool.name in only]


def absent() -> str:
    names = [tool.name for tool in TOOLS if not shutil.which(tool.program)]
    return f"not on PATH: {', '.join(names)}" if names else ""


ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
