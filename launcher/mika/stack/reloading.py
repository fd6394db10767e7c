"""`mika up --watch`: restart the processes whose files have changed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from mika import events
from mika.events import Bus
from mika.supervisor.reload import LOOP_PAUSE, WriteLoops, changes
from mika.supervisor.supervisor import Supervisor


async def restart_on_changes(project: Path, supervisor: Supervisor, bus: Bus) -> None:
    """Runs until it is cancelled. A file that a process writes at each start is ignored for a while."""
    patterns = {name: managed.unit.watch for name, managed in supervisor.managed.items() if managed.unit.watch}
    loops = WriteLoops()
    async for affected in changes(project, patterns):
        for name, changed in affected.items():
            files, looping = loops.skip(name, changed, time.monotonic())
            if looping:
                text = f"{looping[0]} changes at each start: ignored for {LOOP_PAUSE:.0f} s"
                without = json.dumps([*patterns[name], f"!{looping[0]}"])
                advice = f"if {name} writes it, exclude it: `watch = {without}`"
                bus.publish(events.Notice(name=name, level="warning", message=f"{text}; {advice}"))
            if not files:
                continue
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            bus.publish(events.Notice(name=name, level="info", message=f"{files[0]}{more} changed"))
            supervisor.restart_after_change(name)
