"""Programs that run a worker, each in another way. All have the package `bed` beside them, and the variables of
`bed/main.py`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.replay.edits import BED

PYTHON = sys.executable


@dataclass(frozen=True)
class Program:
    """`command` may have {python}, {folder} and {port}, a port that is taken. `says` is empty for one that is checked,
    else what is in the reason why it cannot be. `limit` is in seconds.
    """

    name: str
    command: str
    files: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    limit: float = 60.0
    env: Mapping[str, str] = field(default_factory=dict)

    def make(self, folder: Path, port: int) -> str:
        """Write the files, and return the command, which is for a shell."""
        shutil.copytree(BED, folder / "bed", ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{python}", PYTHON).replace("{port}", str(port)), encoding="utf-8")
            path.chmod(0o755)
        return self.command.format(python=PYTHON, folder=folder, port=port)


_RUN = "import asyncio\nfrom bed import main\nasyncio.run(main.main())\n"
_HERE = "import os, sys\nsys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\n"
_NO_WORKER = "made no Worker"

_LIFESPAN = """
import asyncio
from bed import main

async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return
    await receive()
    worker = asyncio.create_task(main.main())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    worker.cancel()
    await send({"type": "lifespan.shutdown.complete"})
"""
_OF_ONE_PROCESS = """
import asyncio, multiprocessing
from bed import main

def work():
    asyncio.run(main.main())

if __name__ == "__main__":
    process = multiprocessing.get_context("{way}").Process(target=work)
    process.start()
    process.join()
"""
_TAKES = """
import asyncio, http.server, os, socket, threading
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from bed import main

assert "MIKA_BEAT_FILE" not in os.environ, "it is the live worker's"
Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address="127.0.0.1:{port}"))))
http = http.server.HTTPServer(("127.0.0.1", {port}), http.server.BaseHTTPRequestHandler)
threading.Thread(target=http.serve_forever, daemon=True).start()

async def all_of_it():
    await asyncio.start_server(lambda *_: None, "127.0.0.1", {port})
    await asyncio.start_unix_server(lambda *_: None, os.environ["SOCKET"])
    await asyncio.start_unix_server(lambda *_: None, "fresh.sock")
    await main.main()

asyncio.run(all_of_it())
"""
_WRITES = """
import asyncio, os
from datetime import timedelta
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.worker import Worker
from bed import flows, steps

async def main():
    client = await Client.connect(os.environ["ADDRESS"], identity="one that writes")
    await client.workflow_service.register_namespace(RegisterNamespaceRequest(namespace="by-start-up"))
    action = ScheduleActionStartWorkflow("Parcel", "s", id="by-schedule", task_queue="live")
    await client.create_schedule("by-start-up", Schedule(action=action, spec=ScheduleSpec()))
    await client.get_workflow_handle("live-Parcel").signal("wake")
    await client.get_workflow_handle("live-Deferred").cancel()
    types = [flows.Parcel, flows.Deferred, flows.Convoy]
    async with Worker(client, task_queue="live", workflows=types, activities=steps.ALL):
        print(await client.execute_workflow("Parcel", "box", id="by-start-up", task_queue="live"))

asyncio.run(main())
"""
_WORKS = """
import sqlite3, sys, threading, time
database = sqlite3.connect("work.db")
database.execute("CREATE TABLE IF NOT EXISTS work (x)")
database.execute("INSERT INTO work VALUES (1)")
database.commit()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(0.2)
line = "x" * 99 + "\\n"
for _ in range(1000):  # 100 MB
    sys.stdout.write(line * 1000)
"""
_CATCHES = """
import asyncio, time
from bed import main
while True:
    try:
        {fault}
        asyncio.run(main.main())
    except BaseException:
        time.sleep(0.1)
"""
_CLIENT_ONLY = """
import asyncio, os
from temporalio.client import Client

async def main():
    await Client.connect(os.environ["ADDRESS"], identity="only a client")
    await asyncio.sleep(600)

asyncio.run(main())
"""
_INSTRUMENTS = """
import os
os.environ["PYTHONPATH"] = os.pathsep.join(["foreign", os.environ.get("PYTHONPATH", "")])
os.execv("{python}", ["{python}", "-m", "bed.main"])
"""
_FOREIGN = "open('foreign-ran', 'w').close()\n"

# The live one has a file with its pid, and a socket for its control.
_GUNICORN = (
    "echo $PPID >live.pid; XDG_RUNTIME_DIR={{folder}} {{python}} -m gunicorn -p live.pid -k {way} -b :{{port}} web:app"
)
_BELOW_GUNICORN = {"web.py": _LIFESPAN, "gunicorn.ctl": ""}

PROGRAMS = (
    Program("script below a shell", "sh -c 'true && {python} run.py'", {"run.py": _RUN}),
    Program(
        "console script below uv run",
        "uv run --no-project ./parcels",
        {"parcels": "#!{python}\n" + _HERE + _RUN},
        env={"VIRTUAL_ENV": sys.prefix},
    ),
    Program("module, and options of Python", "{python} -u -X dev -OO -W error -m bed.main"),
    Program("lifespan of uvicorn", "{python} -m uvicorn web:app --port {port}", {"web.py": _LIFESPAN}),
    Program("lifespan below gunicorn", _GUNICORN.format(way="uvicorn.workers.UvicornWorker"), _BELOW_GUNICORN),
    Program("gunicorn's own loop", _GUNICORN.format(way="asgi"), _BELOW_GUNICORN),
    Program("spawn", "{python} run.py", {"run.py": _OF_ONE_PROCESS.replace("{way}", "spawn")}),
    Program("fork", "{python} run.py", {"run.py": _OF_ONE_PROCESS.replace("{way}", "fork")}),
    Program("forkserver", "{python} run.py", {"run.py": _OF_ONE_PROCESS.replace("{way}", "forkserver")}),
    Program("works and prints, then takes ports", "{python} run.py", {"run.py": _WORKS + _TAKES}),
    Program("writes at its start", "{python} run.py", {"run.py": _WRITES}),
    Program("catches all", "{python} run.py", {"run.py": _CATCHES.replace("{fault}", "pass")}),
    Program("catches its fault", "{python} run.py", {"run.py": _CATCHES.replace("{fault}", "1 / 0")}, _NO_WORKER, 4.0),
    Program("only a client", "{python} run.py", {"run.py": _CLIENT_ONLY}, _NO_WORKER, 4.0),
    Program("no Python", "sleep 600", {}, "no Python was started", 2.0),
    Program("ends at once", "{python} run.py", {"run.py": "import temporalio.client\n"}, "without a Worker"),
    Program(
        "two workers, and another sitecustomize",
        "{python} -m bed.main",
        {"foreign/sitecustomize.py": _FOREIGN},
        env={"PYTHONPATH": "foreign", "QUEUES": "live,also-live"},
    ),
    Program("-E", "{python} -E -m bed.main", {}, "ignores mika's hook"),
    Program("-I", "{python} -I run.py", {"run.py": _HERE + _RUN}, "ignores mika's hook"),
    Program(
        "a sitecustomize that does not load the next one",
        "{python} wrapper.py",
        {"wrapper.py": _INSTRUMENTS, "foreign/sitecustomize.py": _FOREIGN},
        "ignores mika's hook",
    ),
)
