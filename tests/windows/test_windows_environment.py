"""A project with a virtual environment of Windows, whose `python.exe` only starts the real one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.machine import ROOT, poll_until
from tests.kit.windows.project import KILLED, PATIENCE, WinProject

pytestmark = pytest.mark.timeout(180)

Make = Callable[..., WinProject]

SERVICE = """
import os, sys, time
print("up", os.getpid(), ascii(sys.prefix), flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    print("clean", flush=True)
"""


@pytest.fixture(scope="session")
def redirector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tests/windows/setup.sh` has installed the compiler."""
    program = tmp_path_factory.mktemp("redirector") / "python.exe"
    source = ROOT / "tests/kit/windows/redirector.c"
    subprocess.run(["x86_64-w64-mingw32-gcc", "-municode", "-O1", "-o", program, source], check=True)
    return program


def test_the_service_is_the_python_that_the_redirector_starts(project: Make, redirector: Path):
    stack = project(scripts={"web": SERVICE}, name="机器人 ü (1)")
    base: str = stack.agent.call("import sys\nanswer = sys.executable")
    scripts = stack.folder / ".venv" / "Scripts"
    scripts.mkdir(parents=True)
    shutil.copy(redirector, scripts)
    stack.write(".venv/pyvenv.cfg", f"home = {base.rpartition(chr(92))[0]}\ninclude-system-site-packages = true\n")
    assert stack.mika("up", "-d", env={"BASE_PYTHON": base}).code == 0
    poll_until(lambda: stack.log("web").startswith("up "), PATIENCE, "the service")
    pid, prefix = stack.log("web").split(maxsplit=2)[1:]
    assert ".venv" in prefix
    assert stack.pid("web") == int(pid), "not that of the redirector"
    entry = stack.status()["processes"][0]
    assert entry["rss_mb"] > 10, "a redirector has 7"
    stack.terminate(int(pid))
    found = stack.wait_replaced("web", int(pid), PATIENCE)
    assert found["last_exit"]["code"] == KILLED
    poll_until(lambda: stack.log("web").count("up ") == 2, PATIENCE, "the next one")
    stack.ok("down")
    assert stack.log("web").split()[-1] == "clean"
    poll_until(lambda: not stack.alive(), PATIENCE, "nothing is left")
