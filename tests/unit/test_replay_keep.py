"""A watched worker keeps the code that it was started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mika.replay.program import with_hook

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
