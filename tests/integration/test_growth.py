"""What the embedded server keeps, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from mika.diagnosis.temporal import Temporal
from temporalio.client import Client

from tests.kit.machine import takes_long
from tests.kit.project import Project


def retention(this: Project) -> float:
    """Days."""

    async def ask() -> float:
        client = await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}")
        described = await Temporal(client.service_client, "default").describe_namespace()
        return described.config.workflow_execution_retention_ttl.seconds / 86400

    return asyncio.run(ask())


@takes_long
def test_what_has_ended_is_deleted_after_the_retention_and_its_space_is_given_back(project):
    this = project(scripts={"idle": "import time\ntime.sleep(600)\n"}, backend="embedded")
    this.up()
    assert retention(this) == 3
    this.ok("down")
    with contextlib.closing(sqlite3.connect(this.folder / ".mika/data/temporal.db")) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (1,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    this.write(".env", "TEMPORAL_RETENTION=1\n")
    this.up()
    assert retention(this) == 1
