"""A watched worker keeps the code that it was started with, and ends without delay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mika.replay.program import with_hook

from tests.kit.machine import posix_only

PROGRAM = """
import importlib, os, pathlib, sys
sys.path.insert(0, os.getcwd())
import flow
pathlib.Path("flow.py").write_text("VERSION = 2  # longer than before")
del sys.modules["flow"]
import flow
kept = flow.VERSION
importlib.reload(flow)
import other
print(kept, flow.VERSION, other.VERSION, os.environ.get("CHAINED"))
"""


def test_a_module_that_is_loaded_again_is_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text("VERSION = 1")
    (tmp_path / "other.py").write_text("VERSION = 3")
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "sitecustomize.py").write_text("import os\nos.environ['CHAINED'] = 'yes'\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=with_hook(os.environ | {"PYTHONPATH": str(tmp_path / "next")}, MIKA_KEEP="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "2", "3", "yes"], done.stderr


END = """
import atexit, os
import temporalio.worker

class Owner:  # a cycle: what ends it would close its file
    def __init__(self):
        self.file, self.me = open("owned.txt", "w"), self

OWNER = Owner()
OWNER.file.write("kept")
atexit.register(lambda: print("cleaned up", flush=True))
if "CODE" in os.environ:
    raise SystemExit(int(os.environ["CODE"]))
"""


def test_a_worker_ends_with_all_that_is_its_own_done(tmp_path: Path) -> None:
    for code in (0, 7):
        env = with_hook(os.environ | {"CODE": str(code)}, MIKA_LEAVE="1")
        done = subprocess.run(
            [sys.executable, "-c", END], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (code, "cleaned up\n"), done.stderr
        assert (tmp_path / "owned.txt").read_text() == "kept"


@posix_only
def test_its_end_is_a_small_part_of_what_it_was(tmp_path: Path) -> None:
    program = "import os, temporalio.worker\nspent = os.times()\nprint(spent.user + spent.system, flush=True)"

    def cpu_of_end(**more: str) -> float:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, env=with_hook(os.environ, **more), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        with process.stdout as output:
            at_end = float(output.read())
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        return usage.ru_utime + usage.ru_stime - at_end

    plain = min(cpu_of_end() for _ in range(2))
    assert min(cpu_of_end(MIKA_LEAVE="1") for _ in range(2)) < plain / 2
