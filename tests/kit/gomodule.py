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
    from collections.abc import Callable, Mapping

BUILD_TIMEOUT_S = 30 * 60
# Builds run beside the tests of other people on the same machine: leave them the processor.
_NICE = ["nice", "-n", "10"] if shutil.which("nice") else []
# -trimpath keeps the folder's name out of Go's cache keys: a second build from another copy is cheap. Static (no cgo),
# so that a program runs in any image. No debugger needs these, and memory is cheaper than time: both spare the compiler
# a sixth of its work.
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -gcflags=all=-dwarf=false", "GOGC": "400"}
"""With which all Go programs of the tests are built: packages that several of them use are then compiled once."""
_SYSTEM = "windows" if os.name == "nt" else ""


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


def own_copy(tree: Path, dependency: str) -> Path:
    """A copy of a module that the one in `tree` needs. It may be changed, and is what `tree` is built with."""
    source = Path(json.loads(_run(["go", "mod", "download", "-json", dependency], cwd=tree))["Dir"])
    copy = tree.with_name(dependency.replace("/", "-"))
    _copy(source, copy)
    _run(["go", "mod", "edit", f"-replace={dependency}=../{copy.name}"], cwd=tree)
    return copy


def build(
    module: str,
    version: str,
    commands: Mapping[str, str],
    *,
    edit: Callable[[Path], None] | None = None,
    system: str = _SYSTEM,
) -> dict[str, Path]:
    """Build `commands` (program name -> package folder in the module) and return where each program is.

    `edit` may change the files of the module. `system` is as in GOOS; empty: this one.
    A program that is already in the cache is not built again.
    """
    suffix = ".exe" if system == "windows" else ""
    programs = {name: cache_dir() / "bin" / f"{name}-{version}{suffix}" for name in commands}
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir() / f"{'+'.join(commands)}.lock", timeout=BUILD_TIMEOUT_S):
        missing = [name for name, program in programs.items() if not program.is_file()]
        if missing:
            _build_missing(module, version, {name: commands[name] for name in missing}, programs, edit, system)
    return programs


def _build_missing(
    module: str,
    version: str,
    commands: Mapping[str, str],
    programs: Mapping[str, Path],
    edit: Callable[[Path], None] | None,
    system: str,
) -> None:
    source = module_source(module, version)
    with tempfile.TemporaryDirectory(prefix="mika-go-", ignore_cleanup_errors=True) as scratch:
        # A copy, because the module cache is read-only and `go build -overlay` refuses files below it.
        tree = Path(scratch) / "src"
        _copy(source, tree)
        if edit is not None:
            edit(tree)
        for name, package in commands.items():
            target = programs[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{target.name}.new")
            command = [*_NICE, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", str(fresh), package]
            _run(command, cwd=tree, system=system)
            fresh.replace(target)


def _copy(source: Path, target: Path) -> None:
    """What is in the module cache, but to be written."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def _run(command: list[str], *, cwd: Path, system: str = "") -> str:
    env = {**os.environ, **ENVIRONMENT, "GOWORK": "off", **({"GOOS": system} if system else {})}
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
