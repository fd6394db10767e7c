"""The steps of `.ci/run`: lint, types and the bot's recorded histories, while programs for the tests are built; then
the tests.

What fails gets a second attempt, since the tests kill real processes and wait for real ones, on whatever machine this
is. The last lines name each test that needed it. More than three such tests fail the run, and so does one that fails
again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PYTHON = sys.executable
LINT = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy", "--platform", "linux", "--cache-dir", ".mypy_cache/linux"),
    ("mypy", "--platform", "win32", "--cache-dir", ".mypy_cache/win32"),
    ("lint-imports",),
)
HISTORIES = sorted(str(path) for path in Path("tests/histories").glob("*.json"))
BUILDS: dict[str, tuple[str, list[tuple[str, ...]]]] = {  # by the word in MIKA_REQUIRE
    "mongo": ("a MongoDB server", [(PYTHON, "-m", "tests.kit.mongo_server", "--build")]),
    "docker": (
        "a Docker engine and images",
        [
            (PYTHON, "-m", "tests.kit.docker.engine", "start", "--install"),
            (PYTHON, "-m", "tests.kit.docker.images", "--install"),
        ],
    ),
    "clock": ("a C compiler", [(PYTHON, "-m", "tests.kit.clock", "--install")]),
    "tmux": ("tmux", [(PYTHON, "-m", "tests.kit.tmux", "--install")]),
    "shells": ("zsh and fish", [(PYTHON, "-m", "tests.kit.shells", "--install")]),
    "langbot": ("three LangBots", [(PYTHON, "-m", "tests.kit.langbot.environments", "--install")]),
    "wine": ("Windows Python under Wine", [("tests/windows/setup.sh", "--temporal")]),
}
SECOND_ATTEMPTS = 3
ROOM = 2 * 1024**3  # bytes; a run of the tests leaves 150 MB
FAILED = Path(".pytest_cache/v/cache/lastfailed")  # where pytest writes down what failed
SUMMARY = re.compile(r"=+ .*\b(passed|failed|skipped|deselected|error|errors|no tests ran)\b.* in [\d.]+s.*=+")

began = time.monotonic()
steps: list[tuple[str, float]] = []
summaries: list[str] = []


class Background(threading.Thread):
    """Commands in the background, one after the other, with their output in a file."""

    def __init__(self, name: str, commands: list[tuple[str, ...]], log: Path) -> None:
        super().__init__(daemon=True)
        self.title, self._commands, self._log = name, commands, log
        self.code, self.seconds = 0, 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        begin = time.monotonic()
        with self._log.open("wb") as log:
            for command in self._commands:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
                self.code = self._process.wait()
                if self.code:
                    break
        self.seconds = time.monotonic() - begin

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace").strip()

    def stop(self) -> None:
        if self.is_alive() and self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    required = os.environ.get("MIKA_REQUIRE", "").replace(",", " ").split()
    FAILED.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is in memory, and the engine, goes then, too
    with tempfile.TemporaryDirectory(prefix="mika-", dir=in_memory()) as folder:
        builds = [Background(*BUILDS[name], Path(folder) / name) for name in required if name in BUILDS]
        for build in builds:
            build.start()
        try:
            code = check(builds, arguments, str(Path(folder) / "t"))  # short: sockets are made in it
        finally:
            for build in builds:
                build.stop()
            if "docker" in required:
                subprocess.run([PYTHON, "-m", "tests.kit.docker.engine", "stop"], check=False)
    return code


def in_memory() -> str | None:
    """A folder in memory, if there is room: the databases of the tests wait for a disk at each step of a workflow."""
    folder = Path("/dev/shm")  # noqa: S108 - what is made in it has a random name
    if not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return None
    return str(folder) if shutil.disk_usage(folder).free > ROOM else None


def check(builds: list[Background], arguments: list[str], folder: str) -> int:
    """All steps, with the folders of the tests in `folder`; returns the exit code."""

    def pytest(name: str, arguments: list[str]) -> int:
        return step(name, [PYTHON, "-m", "pytest", "--basetemp", folder, *arguments], echo=True)

    if lint():
        return finish("lint or types failed")
    if step("mika check", [PYTHON, "-m", "mika", "check", "worker", "--histories", *HISTORIES]):
        return finish("the bot's workflow does not fit its recorded histories")
    if not complete(builds):
        return finish("what the tests need could not be built")
    # Docker and Wine have a worker each for half of the run. With two beside them, stacks under Wine missed their
    # deadlines on a slow machine.
    code = pytest("tests", arguments or ["tests", "-n", "3"])
    failed = sorted(json.loads(FAILED.read_text(encoding="utf-8"))) if FAILED.exists() else []
    if not code and not failed:
        return finish()
    if code > 1 or not failed:
        return finish(f"pytest exited with {code}")
    if len(failed) > SECOND_ATTEMPTS:
        return finish(f"{len(failed)} tests failed; up to {SECOND_ATTEMPTS} would get a second attempt", failed)
    if pytest("second attempt", [*failed, "-n", "0"]):
        return finish("failed twice, or one of these did", failed)
    return finish("", failed)


def lint() -> int:
    """All at once: each keeps one core busy. Returns how many of them failed."""
    with tempfile.TemporaryDirectory(prefix="mika-lint-") as folder:
        logs = [Path(folder) / str(number) for number in range(len(LINT))]
        tools = [Background(" ".join(command), [command], log) for command, log in zip(LINT, logs, strict=True)]
        try:
            for tool in tools:
                tool.start()
            for tool in tools:
                tool.join()
                print(f"\n== {tool.title}\n{tool.output()}", flush=True)
                steps.append((tool.title, tool.seconds))
        finally:
            for tool in tools:
                tool.stop()
    return sum(tool.code != 0 for tool in tools)


def step(name: str, command: list[str], *, echo: bool = False) -> int:
    """Run a command; with `echo` the last lines of pytest are kept for the closing lines."""
    begin = time.monotonic()
    print(f"\n== {name} ({minutes(begin - began)})", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE if echo else None, encoding="utf-8", errors="replace") as run:
        for line in run.stdout or ():
            print(line, end="", flush=True)
            if SUMMARY.fullmatch(line.strip()):
                summaries.append(f"{name}: {line.strip()}")
    steps.append((name, time.monotonic() - begin))
    return run.returncode


def complete(builds: list[Background]) -> bool:
    """Wait for what is built in the background; whether all of it could be built."""
    begin = time.monotonic()
    for build in builds:
        if build.is_alive():
            print(f"\n== waiting for {build.title} ({minutes(begin - began)})", flush=True)
        build.join()
        if build.code:
            print(f"\n== {build.title}: exit code {build.code}\n{build.output()}", flush=True)
        steps.append((f"{build.title}, in the background", build.seconds))
    steps.append(("waiting for what is built", time.monotonic() - begin))
    return not any(build.code for build in builds)


def finish(failure: str = "", tests: list[str] | None = None) -> int:
    """The closing lines; returns the exit code."""
    print("\n== minutes")
    for name, seconds in steps:
        print(f"{minutes(seconds):>6}  {name}")
    print(f"{minutes(time.monotonic() - began):>6}  in all")
    print("\n== results")
    for line in summaries:
        print(line)
    if tests and not failure:
        print(f"passed at the second attempt only: {len(tests)}")
    for test in tests or ():
        print(f"  {test}")
    print(failure or "done")
    return 1 if failure else 0


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
