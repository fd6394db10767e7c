"""The hook uses private names of the SDK. They are there in the oldest and in the newest version that mika supports;
one without them is told, and its program is never a live worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.replay.edits import BY_NAME
from tests.kit.replay.live import TYPES, Live
from tests.kit.replay.sdks import OLDEST, changed_sdk, python_with_sdk

pytestmark = posix_only

NAMES = """
import importlib, sys
for name in sys.argv[1:]:
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
"""
PRIVATE = (
    "temporalio.bridge.worker:Worker.create",
    "temporalio.bridge.temporal_sdk_bridge:new_worker",
    "temporalio.service:_BridgeServiceClient._rpc_call",
    "temporalio.service:_BridgeServiceClient.connect",
    "temporalio.worker._worker:Worker.run",
    "temporalio.worker._workflow_instance:_WorkflowInstanceImpl._add_command",
    "temporalio.workflow:_Definition.must_from_class",
    "temporalio.worker:Replayer.workflow_replay_iterator",
)
NEWEST = "newest"
CHANGED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "another name for a call": ({"_rpc_call": "_call_rpc"}, {}),
    "another name for the client": ({"_BridgeServiceClient": "_CoreClient"}, {}),
    "another name for a new worker": ({"Worker.create(": "Worker.make(", "    def create(": "    def make("}, {}),
    "another way to a new worker": (
        {
            "Worker.create(": "Worker.make(",
            "    @staticmethod\n    def for_replay(": "    make = create\n\n    @staticmethod\n    def for_replay(",
        },
        {},
    ),
    "the worker's module elsewhere": (
        {"temporalio.worker._worker": "temporalio.worker._main", "from ._worker import": "from ._main import"},
        {"worker/_worker.py": "worker/_main.py"},
    ),
    "the core's module elsewhere": (
        {"temporalio.bridge.worker": "temporalio.bridge.core_worker"},
        {"bridge/worker.py": "bridge/core_worker.py"},
    ),
    "the service's module elsewhere": (
        {"temporalio.service": "temporalio.services", "from .service import": "from .services import"},
        {"service.py": "services.py"},
    ),
}


def python_of(version: str) -> str:
    return sys.executable if version == NEWEST else python_with_sdk(version)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_private_names_are_there(version: str):
    command = [python_of(version), "-c", NAMES, *PRIVATE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("edit", ["nothing", "steps swapped", "one lorry less"])
def test_the_oldest_version_is_checked(live: Live, tmp_path: Path, edit: str):
    made = BY_NAME[edit]
    made.apply(tmp_path)
    flows = tmp_path / "bed" / "flows.py"  # that version knows only this `Sequence` of a dynamic workflow's arguments
    source = flows.read_text(encoding="utf-8").replace("from collections.abc import", "from typing import")
    flows.write_text(source, encoding="utf-8")
    before = live.seen()
    verdict = live.check(live.spec(tmp_path, [python_of(OLDEST), "-m", "bed.main"]))
    assert live.seen() == before
    assert not verdict.unchecked
    misfits = {misfit.type: f"{misfit.event.type} {misfit.event.name}" for misfit in verdict.misfits if misfit.event}
    assert misfits == made.breaks, list(verdict.reasons())
    assert all(misfit.reset_to for misfit in verdict.misfits)
    assert verdict.fits == len(TYPES) - len(made.breaks)


@pytest.mark.parametrize("change", CHANGED)
def test_a_version_without_a_private_name_is_told_and_does_not_poll(live: Live, tmp_path: Path, change: str):
    BY_NAME["nothing"].apply(tmp_path)
    main = tmp_path / "bed" / "main.py"
    main.write_text("print('it begins')\n" + main.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "sdk").mkdir()
    sdk = changed_sdk(tmp_path / "sdk", *CHANGED[change])
    before = live.seen()
    verdict = live.check(live.spec(tmp_path, PYTHONPATH=str(sdk)))
    assert live.seen() == before
    assert any("version of the SDK is not known" in reason.text for reason in verdict.unchecked), verdict
    assert not verdict.refuses, "this says nothing about the code"


def test_a_changed_version_is_a_live_worker_without_the_check(live: Live, tmp_path: Path):
    """What the test above keeps from happening."""
    BY_NAME["nothing"].apply(tmp_path)
    (tmp_path / "sdk").mkdir()
    sdk = changed_sdk(tmp_path / "sdk", *CHANGED["the core's module elsewhere"])
    path = os.pathsep.join((str(sdk), str(tmp_path)))
    env = {**live.env, "IDENTITY": "changed", "PYTHONPATH": path}
    worker = live.server.run("changed", [sys.executable, "-m", "bed.main"], **env)
    poll_until(lambda: "changed" in live.seen().pollers, DEADLINE, "the changed worker")
    worker.kill()
