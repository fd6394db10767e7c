"""Programs for tests, built from their Go modules and kept in a cache.

No container registry and no download page is needed: the Go module proxy is enough.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILD_TIMEOUT_S = 30 * 60  # the Temporal server takes about 6 minutes on two busy cores
# Builds run beside the tests of other people on the same machine: leave them the processor.
_NICE = ["nice", "-n", "10"] if shutil.which("nice") else []
_EXE = ".exe" if os.name == "nt" else ""


class BuildError(Exception):
    """A program could not be built; the message says why in one line."""


def cache_dir() -> Path:
    """Where the tests keep what is expensive to make (`mika-tests` in the user's cache folder)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mika-tests"


def module_source(module: str, version: str) -> Path:
    """The unpacked, read-only source of a Go module, downloaded when it is not there."""
    if shutil.which("go") is None:
        msg = f"{module} is built with Go, and there is no `go` on PATH"
        raise BuildError(msg)
    out = _run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd=Path(tempfile.gettempdir()))
    return Path(json.loads(out)["Dir"])


def build(
    module: str, version: str, commands: Mapping[str, str], *, replace: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Build `commands` (program name -> package folder in the module) and return where each program is.

    `replace` gives other contents to files of the module. A program that is already in the cache is not built again.
    """
    programs = {name: cache_dir() / "bin" / f"{name}-{version}{_EXE}" for name in commands}
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir() / f"{'+'.join(commands)}.lock", timeout=BUILD_TIMEOUT_S):
        missing = [name for name, program in programs.items() if not program.is_file()]
        if missing:
            _build_missing(module, version, {name: commands[name] for name in missing}, programs, replace or {})
    return programs


def _build_missing(
    module: str, version: str, commands: Mapping[str, str], programs: Mapping[str, Path], replace: Mapping[str, str]
) -> None:
    source = module_source(module, version)
    with tempfile.TemporaryDirectory(prefix="mika-go-", ignore_cleanup_errors=True) as scratch:
        # A copy, because the module cache is read-only and `go build -overlay` refuses files below it.
        tree = Path(scratch) / "src"
        shutil.copytree(source, tree, copy_function=shutil.copyfile)
        for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        for file, text in replace.items():
            (tree / file).write_text(text, encoding="utf-8")
        for name, package in commands.items():
            target = programs[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{target.name}.new")
            # -trimpath keeps the folder's name out of Go's cache keys: a second build from another copy is cheap.
            # Static (no cgo), so that the program runs in any image.
            _run([*_NICE, "go", "build", "-p", "1", "-trimpath", "-ldflags=-s -w", "-o", str(fresh), package], cwd=tree)
            fresh.replace(target)


def _run(command: list[str], *, cwd: Path) -> str:
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, "GOWORK": "off"}
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env=env,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=BUILD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"`{' '.join(command)}` took longer than {BUILD_TIMEOUT_S} s"
        raise BuildError(msg) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        msg = f"`{' '.join(command)}` failed ({done.returncode}): {last}"
        raise BuildError(msg)
    return done.stdout
