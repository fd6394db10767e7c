"""Runs with which a replay is difficult: each is replayed, or named as not checked, and keeps nothing else from it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.kit.machine import DEADLINE, posix_only, takes_long
from tests.kit.replay.edits import BED, BY_NAME
from tests.kit.replay.live import Live
from tests.kit.replay.opened import events_of, is_waiting
from tests.kit.replay.world import WORKER

pytestmark = [takes_long, posix_only]

LOCKED = """
from temporalio.converter import PayloadCodec

class Codec(PayloadCodec):
    async def encode(self, payloads):
        return list(payloads)

    async def decode(self, payloads):
        raise ConnectionError("the codec server is down")
"""
FAILS_ITSELF = "@workflow.defn(failure_exception_types=[workflow.NondeterminismError])\nclass Parcel:"


def edited(folder: Path, edit: str = "nothing", *more: tuple[str, str, str]) -> Path:
    """The package with an edit of the table, and with (file, old, new) besides."""
    BY_NAME[edit].apply(folder)
    for name, old, new in more:
        path = folder / "bed" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def run(live: Live, work: Any) -> Any:
    async def main() -> Any:
        return await work(await Client.connect(live.address))

    return asyncio.run(main())


def test_a_run_that_no_worker_has_taken_fits(live: Live, tmp_path: Path):
    """The SDK's Replayer would hang on its one event."""

    async def start(client: Client) -> None:
        await client.start_workflow("Parcel", "x", id="untaken", task_queue="untaken")
        await client.start_workflow("Deferred", "x", id="untaken-too", task_queue="untaken")

    run(live, start)
    verdict = live.check(live.spec(edited(tmp_path, "steps swapped"), QUEUES="untaken"), ["untaken"])
    assert verdict.state == "fits", list(verdict.reasons())
    assert not verdict.misfits


def test_a_run_that_is_stuck_already_is_told_and_keeps_nobody(live: Live, tmp_path: Path):
    """The old code does not fit either, so the new code may as well replace it."""
    queue = 'it\'s a "queue" \\ 队列'  # quotes in the query for its runs
    stuck = edited(tmp_path / "old", "steps swapped")

    def worker(folder: Path) -> Any:
        env = {**live.env, "QUEUES": queue, "IDENTITY": "old", "PYTHONPATH": folder}
        return live.server.run("old", list(WORKER), **env)

    async def until(client: Client, condition: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition(await events_of(client.get_workflow_handle("stuck"))):
                await asyncio.sleep(0.1)

    async def get_stuck(client: Client) -> None:
        first = worker(BED.parent)
        handle = await client.start_workflow("Parcel", "x", id="stuck", task_queue=queue)
        await until(client, lambda events: is_waiting(events, "timer"))
        first.kill()
        second = worker(stuck)
        await handle.signal("wake")
        failed = "workflow_task_failed_event_attributes"
        await until(client, lambda events: any(event.HasField(failed) for event in events))
        second.kill()

    run(live, get_stuck)
    verdict = live.check(live.spec(stuck, QUEUES=queue), [queue])
    (misfit,) = verdict.misfits
    assert misfit.was_stuck
    assert misfit.reset_to
    assert not verdict.refuses
    without = live.check(live.spec(edited(tmp_path / "gone", "types not registered"), QUEUES=queue), [queue])
    assert not without.gone, "nobody goes on with it now, either"
    mended = live.check(live.spec(edited(tmp_path / "new"), QUEUES=queue), [queue])
    assert mended.state == "fits", list(mended.reasons())


def test_an_activity_that_a_run_waits_for_is_missed_unless_it_was_missing_before(live: Live, tmp_path: Path):
    queue, fails = "awaited", ("steps.py", 'return f"label for {code}"', 'raise ValueError("no printer")')
    failing = edited(tmp_path / "failing", "nothing", fails)
    without = edited(tmp_path / "without", "nothing", ("steps.py", "[weigh, label, deliver]", "[weigh, deliver]"))

    def worker(folder: Path) -> Any:
        env = {**live.env, "QUEUES": queue, "IDENTITY": "old", "PYTHONPATH": folder}
        return live.server.run("old", list(WORKER), **env)

    async def last_failure(client: Client, kind: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                description = await client.get_workflow_handle("waits").describe()
                for activity in description.raw_description.pending_activities:
                    if activity.last_failure.application_failure_info.type == kind:
                        return
                await asyncio.sleep(0.1)

    async def fail(client: Client) -> None:
        await client.start_workflow("Parcel", "x", id="waits", task_queue=queue)
        await last_failure(client, "ValueError")

    async def be_missing(client: Client) -> None:
        await last_failure(client, "NotFoundError")

    def check(folder: Path) -> Any:
        return live.check(live.spec(folder, QUEUES=queue), [queue])

    old = worker(failing)
    run(live, fail)
    verdict = check(without)
    assert [(each.type, each.runs, each.example) for each in verdict.gone_activities] == [("label", 1, "waits")]
    assert verdict.refuses
    old.kill()
    missing = worker(without)
    run(live, be_missing)
    missing.kill()
    assert check(without).state == "fits", "the old code does not have it, either"
    assert check(edited(tmp_path / "with")).state == "fits"


def test_a_codec_that_is_down_says_nothing_about_the_code(live: Live, tmp_path: Path):
    connect = 'Client.connect(os.environ["ADDRESS"], identity=identity)'
    coded = 'Client.connect(os.environ["ADDRESS"], identity=identity, data_converter=CONVERTER)'
    imports = "import os\nfrom dataclasses import replace\nfrom temporalio.converter import DataConverter\n" + LOCKED
    imports += "\nCONVERTER = replace(DataConverter.default, payload_codec=Codec())\n"
    folder = edited(tmp_path, "nothing", ("main.py", connect, coded), ("main.py", "import os\n", imports))
    verdict = live.check(live.spec(folder))
    assert verdict.state == "unchecked", list(verdict.reasons())
    assert not verdict.refuses
    assert any("the codec server is down" in reason.text for reason in verdict.unchecked), verdict.unchecked


def test_a_type_for_which_a_misfit_is_its_failure_is_checked_with_the_others(live: Live, tmp_path: Path):
    """The SDK 1.35 hangs after such a history; the others are replayed all the same."""
    folder = edited(tmp_path, "steps swapped", ("flows.py", "@workflow.defn\nclass Parcel:", FAILS_ITSELF))
    verdict = live.check(live.spec(folder))
    assert [misfit.type for misfit in verdict.misfits] == ["Parcel"], verdict
    assert verdict.fits == 2
