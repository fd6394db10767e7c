"""A project of 100,000 files: what is near the top is found, in 2 s and 100 MB."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.machine import takes_long
from tests.kit.sources import make, worker

pytestmark = [
    pytest.mark.alone,
    # Not by a look at /proc: Windows Python under Wine sees that of Linux, and takes a minute for so many files.
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory used"),
]

COUNT, IN_ONE_FOLDER = 100_000, 1000
MANIFESTS = {
    "go.mod": "module x\nrequire go.temporal.io/sdk v1.37.0\n",
    "package.json": '{"dependencies": {"@temporalio/worker": "1"}}',
    "pom.xml": "io.temporal",
}
SOURCES = {
    "py": "from temporalio import workflow\nfrom . import other\n" * 40,
    "go": "package main\nfunc main() {\n\tw := worker.New(c, Queue, worker.Options{})\n}\n",
    "ts": "const worker = await Worker.create({ taskQueue });\n",
    "java": "class A { void f() { x.newWorker(QUEUE); } }\n",
    "md": "    python main.py\n" * 10,
    "txt": "",
}
MEASURE = """
import json, re, sys, time
from pathlib import Path
from mika.detect.proposal import propose
began = time.process_time()
found = propose(Path(sys.argv[1]), {}, (8000, 7233), {})
seconds = time.process_time() - began
megabytes = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([[process.name for process in found.processes], found.notes, seconds, megabytes]))
"""


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """Links to a few files: 100,000 of their own take ten times as long. pytest would keep them for three runs."""
    make(tmp_path / "from", {f"{number}.{kind}": text for number in range(4) for kind, text in SOURCES.items()})
    folder = make(tmp_path / "large", {"worker.py": worker('"q"'), **MANIFESTS})
    kinds = list(SOURCES)
    for number in range(COUNT):
        part, kind = divmod(number, IN_ONE_FOLDER)[0], kinds[number % len(kinds)]
        if number % IN_ONE_FOLDER == 0:
            (folder / f"part{part}").mkdir()
        os.link(tmp_path / "from" / f"{part % 4}.{kind}", folder / f"part{part}" / f"m{number}.{kind}")
    yield folder
    shutil.rmtree(folder)


@takes_long
def test_100_000_files(large):
    done = subprocess.run([sys.executable, "-c", MEASURE, str(large)], check=True, capture_output=True, timeout=60)
    names, notes, seconds, megabytes = json.loads(done.stdout)
    assert names == ["worker"], notes
    assert seconds < 2, f"of the CPU; {megabytes} MB"
    assert megabytes < 100
