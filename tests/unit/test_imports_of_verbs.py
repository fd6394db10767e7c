"""Each command imports what it uses and no more: most of the time of a short command is imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.machine import ROOT, posix_only

CODE = """
import os, sys
os.chdir(sys.argv[1])
from mika.cli.main import run
run(sys.argv[2:])
print("\\nMODULES", *sys.modules)
"""
HEAVY = {"asyncio", "docker", "honcho", "httpx", "psutil", "rich", "temporalio", "tenacity", "watchfiles"}
HEAVY |= {"click.shell_completion"}  # only a shell asks for it
ON_WINDOWS = {"asyncio", "tenacity"} if sys.platform == "win32" else set()
"""Named pipes are served by asyncio; a file that somebody reads is replaced by a retry."""
OURS = {"mika.backends", "mika.config.load", "mika.doctor", "mika.readiness", "mika.stack", "mika.supervisor"}


def modules(folder: Path, *argv: str) -> set[str]:
    """What is imported when the command has done its work."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UV_RUN_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder), *argv],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("MODULES ")), None)
    assert line is not None, done.stderr
    return set(line.split()[1:])


@pytest.mark.parametrize(
    ("argv", "needed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (
            ["up", "--help"],
            {"asyncio", "mika.backends", "mika.config.load", "mika.readiness", "mika.stack", "mika.supervisor"},
        ),
        # Without a stack it looks for what a killed run has left, and finds no mark of one.
        (["status"], {"mika.supervisor"}),
        (["status", "--json"], {"mika.supervisor"}),
        (["top"], {"mika.supervisor"}),
        (["wait", "--timeout", "0.1"], {"mika.config.load", "mika.stack"}),
        (["restart", "web"], {"mika.config.load", "mika.stack"}),
        (["logs"], set()),
        (["config"], {"mika.config.load"}),
        (
            ["send", "hello"],
            {"mika.config.load", "mika.readiness", "mika.stack", "psutil"},
        ),  # whose the port of the API is
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_nothing_heavy_that_it_does_not_use(tmp_path, argv, needed):
    (tmp_path / "Procfile").write_text("web: serve\n", encoding="utf-8")  # without one, it would be looked for
    imported = modules(tmp_path, *argv)
    assert (HEAVY | OURS) & imported <= needed | ON_WINDOWS


def test_a_stack_without_temporal_starts_without_its_sdk(tmp_path):
    (tmp_path / "Procfile").write_text(f"web: {Path(sys.executable).as_posix()} -c pass\n", encoding="utf-8")
    (tmp_path / "mika.toml").write_text('backend = "none"\n[process.web]\nrestart = "never"\n', encoding="utf-8")
    imported = modules(tmp_path, "up")
    assert {"temporalio", "docker", "rich", "tenacity", "watchfiles", "mika.doctor"} & imported <= ON_WINDOWS


@posix_only
def test_a_guard_imports_little():
    """Each process has one: what these cost, each of them pays."""
    code = "import sys; sys.path.append(sys.argv[1]); import mika.guard._posix; print(*sys.modules)"
    command = [getattr(sys, "_base_executable", None) or sys.executable, "-I", "-S", "-c", code, str(ROOT / "launcher")]
    imported = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert not {"collections", "contextlib", "ctypes", "enum", "json", "pathlib", "re", "typing"} & set(imported)
