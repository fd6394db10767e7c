"""Programs of each kind are checked, or it is said why not; the live worker and its server notice nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.kit.machine import DEADLINE, poll_until, posix_only, takes_long
from tests.kit.replay.edits import BED
from tests.kit.replay.live import IDENTITY, TYPES, Live, taken
from tests.kit.replay.programs import PROGRAMS, Program
from tests.kit.replay.world import WORKER

pytestmark = [takes_long, posix_only]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_is_checked_or_it_is_said_why_not(live: Live, program: Program, tmp_path: Path):
    before = live.seen()
    assert before.pollers == before.identities == {IDENTITY}
    with tempfile.TemporaryDirectory() as short, taken(Path(short)) as (port, socket_file):
        command = program.make(tmp_path, port)
        files = {path.name for path in tmp_path.iterdir()}
        env = {"SOCKET": str(socket_file), "MIKA_BEAT_FILE": str(tmp_path / "beat"), **program.env}
        spec = live.spec(tmp_path, command, **env)
        verdict = live.check(spec, spec.env["QUEUES"].split(","), program.limit)
    assert live.seen() == before
    if program.says:
        assert any(program.says in reason.text for reason in verdict.unchecked), verdict
        assert verdict.state == "unchecked"
        assert not verdict.refuses
    else:
        assert verdict.state == "fits", list(verdict.reasons())
        assert verdict.fits == len(TYPES)
    poll_until(lambda: not live.run.alive(), 5, "the end of all that was checked")
    now = {path.name for path in tmp_path.iterdir()}
    assert files <= now
    assert now - files <= {".mika", "__pycache__", "work.db", "foreign-ran", "live.pid"}
    assert not list((tmp_path / ".mika" / "run").glob("check-*"))
    if "foreign/sitecustomize.py" in program.files:
        assert (tmp_path / "foreign-ran").exists()


def test_another_worker_would_be_seen(live: Live, tmp_path: Path):
    """What the tests above rely on. It is the last one: the server remembers who has polled."""
    before = live.seen()
    other = live.server.run("another", list(WORKER), **live.env, IDENTITY="another", PYTHONPATH=BED.parent)
    poll_until(lambda: "another" in live.seen().pollers, DEADLINE, "the other worker")
    other.kill()
    assert live.seen() != before
