"""Why a server in Python exited, by what it really prints (captured, with fewer lines)."""

from __future__ import annotations

import asyncio

import pytest
from mika.guard.segments import SegmentWriter
from mika.reason import Reason
from mika.supervisor.cause import explain
from mika.supervisor.diagnose import find_error_line, find_permanent_cause

IN_GROUP = """ERROR:      + Exception Group Traceback (most recent call last):
  |   File "/app/asgi.py", line 195, in lifespan
  |     async with self.app.lifespan():
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/app.py", line 7, in connect
    |     {raising}
    |   File "<frozen os>", line 679, in __getitem__
    | {error}
    +------------------------------------

ERROR:    Application startup failed. Exiting.
"""
HYPERCORN = """Traceback (most recent call last):
  File "/app/app.py", line 9, in startup
  File "<frozen os>", line 679, in __getitem__
{error}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/hypercorn/asyncio/lifespan.py", line 118, in asgi_send
    raise LifespanFailureError("startup", message.get("message", ""))
hypercorn.utils.LifespanFailureError: Lifespan failure in startup. ''STRIPE_KEY''
"""
GUNICORN = """Traceback (most recent call last):
  File "/app/wsgi.py", line 4, in <module>
  File "<frozen os>", line 679, in __getitem__
{error}
[2026-11-30 23:57:18 +0000] [949] [INFO] Worker exiting (pid: 949)
[2026-11-30 23:57:19 +0000] [925] [ERROR] Worker (pid:949) exited with code 3.
[2026-11-30 23:57:19 +0000] [925] [ERROR] Shutting down: Master
[2026-11-30 23:57:19 +0000] [925] [ERROR] Reason: Worker failed to boot.
"""


@pytest.mark.parametrize("server", [IN_GROUP, HYPERCORN, GUNICORN])
def test_what_a_server_in_python_says_when_its_app_does_not_start(server):
    unset = server.format(error="KeyError: 'STRIPE_KEY'", raising='key = os.environ["STRIPE_KEY"]')
    assert find_permanent_cause(unset.splitlines(), 1) == Reason("KeyError: 'STRIPE_KEY'", "set STRIPE_KEY in .env")
    refused = server.format(error="ConnectionRefusedError: [Errno 111] Connection refused", raising="")
    assert find_error_line(refused.splitlines()) == "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("output", "is_error"),
    [
        (HYPERCORN.format(error="KeyError: 'X'"), True),
        (HYPERCORN.format(error="KeyError: 'X'") + "stopped\n", False),
        ("INFO: ValueError: ignored\n", False),
        ("ValueError: told\n", False),
        ("", False),
    ],
)
def test_an_exit_with_0_after_an_error(tmp_path, output, is_error):
    writer = SegmentWriter(str(tmp_path), "web", 1 << 20)
    writer.write(output.encode())
    writer.close()
    why = asyncio.run(explain((tmp_path, "web", None), "web", 0, (), "", lambda _package: ""))
    assert bool(why.error_line) is bool(why.cause.text) is is_error
    assert ("restart" in why.early_fix) is not is_error


REFUSED = """Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "/app/shop/__init__.py", line 1, in <module>
    {statement}
  File "/app/.venv/lib/python3.11/site-packages/flask/__init__.py", line 5, in <module>
    from . import json as json
  File "/usr/lib/python3.11/http/server.py", line 3, in <module>
    import socketserver
temporalio.worker.workflow_sandbox._restrictions.RestrictedWorkflowAccessError: Cannot access http.server from inside

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/worker.py", line 14, in <module>
    import asyncio; asyncio.run(main())
RuntimeError: Failed validating workflow Greet
"""


@pytest.mark.parametrize(
    ("statement", "place"),
    [("from flask import Flask", "/app/shop/__init__.py:1"), ("TOKEN = open('token').read()", "")],
)
def test_an_import_that_the_sandbox_of_workflows_refuses(statement, place):
    why = find_permanent_cause(REFUSED.format(statement=statement).splitlines(), 1)
    assert "RestrictedWorkflowAccessError: Cannot access http.server" in why.text
    assert why.fix == (
        f"{place} imports it for a workflow, too: write `{statement}` there within"
        " `with workflow.unsafe.imports_passed_through():`"
        if place
        else ""
    )
