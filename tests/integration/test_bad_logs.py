"""What is no log, or a damaged one, where a log should be: it is said once, and nobody stops for it."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.kit.machine import posix_only, telling
from tests.kit.programs import SLEEP
from tests.kit.project import Project

IN_THE_PLACE_OF_LOGS = (
    {"web.log": "fifo", "web.idx": "bytes", "mika.log": "folder"},
    {"mika.log": "bytes", "mika.idx": "fifo"},
)


@posix_only  # Windows has no FIFO in a folder
def test_what_stands_in_the_place_of_a_log_stops_nobody(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    this.ok("down")
    for damages in IN_THE_PLACE_OF_LOGS:
        with telling(lambda one=damages: one):
            damaged_logs_stop_nobody(this, damages)


def damaged_logs_stop_nobody(this: Project, damages: dict[str, str]) -> None:
    places = {this.folder / ".mika" / "logs" / name: damage for name, damage in damages.items()}
    for path, damage in places.items():
        put_in_the_place_of(path, damage)
    no_files = [name for name, damage in damages.items() if name.endswith(".log") and damage != "bytes"]
    for args in (["logs"], ["logs", "-t", "web", "mika"], ["logs", "--since", "5m"], ["logs", "-n", "3", "mika"]):
        result = this.mika(*args, timeout=20)
        is_asked_for = any(name.removesuffix(".log") in args for name in no_files)
        assert result.code == (2 if is_asked_for else 0), str(result)  # there is no such log
        assert "Traceback" not in result.err
        for name in no_files:
            assert len([line for line in result.err.splitlines() if f"{name} is not a file" in line]) == 1, str(result)
    up = this.start_mika("up")
    up.wait_for("ready after")
    up.wait_for("here")
    assert "its log cannot be written" not in up.output()
    assert "Traceback" not in up.output()
    this.ok("status", timeout=20)
    assert this.ok("logs", "-n", "1", "web", timeout=20).out == "here\n"
    follow = this.start_mika("logs", "-f", "-n", "1")
    follow.wait_for("here")
    this.ok("down", timeout=30)
    assert up.wait() == 0
    for this_log in ("web", "mika"):
        this.ok("logs", this_log, timeout=20)
    for path in places:
        put_in_the_place_of(path, "nothing")


def put_in_the_place_of(path: Path, damage: str) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    match damage:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "bytes":
            path.write_bytes(random.Random(3).randbytes(333))
