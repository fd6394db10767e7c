"""A program that has a worker only while it runs a workflow, as many examples and demonstrations do."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker

RUN = 'await client.execute_workflow(Greet.run, "x", id="1", task_queue="q")'
STARTED = 'handle = await client.start_workflow(Greet.run, id="1", task_queue="q"); print(await handle.result())'


def within(*lines: str) -> str:
    """A worker with `async with`, and what is done there."""
    block = "".join(f"        {line}\n" for line in lines)
    plain = '    await Worker(client, task_queue="q", workflows=[]).run()\n'
    return worker('"q"').replace(plain, f'    async with Worker(client, task_queue="q", workflows=[]):\n{block}')


@pytest.mark.parametrize("lines", [(RUN,), (f"print({RUN})", "print('done')"), (STARTED,)])
def test_a_program_that_runs_a_workflow_and_ends_is_started_once(tmp_path, lines):
    found = only(proposed(tmp_path, {"demo.py": within(*lines)}))
    assert (found.command, found.ready, found.restart) == ("python demo.py", "none", "never")
    assert "it runs a workflow and exits: it is started once, and not again" in found.why


@pytest.mark.parametrize(
    "lines",
    [
        ("await asyncio.Event().wait()",),
        (RUN, "await asyncio.Future()"),
        (RUN, "await stopped.wait()"),
        ("while True:", f"    {RUN}"),
        ("await uvicorn.Server(config).serve()", RUN),
        ("await client.start_workflow(Greet.run)",),
    ],
)
def test_a_program_that_may_last_is_a_worker_as_usual(tmp_path, lines):
    found = only(proposed(tmp_path, {"demo.py": within(*lines)}))
    assert (found.ready, found.restart) == ("worker:q/workflow", "always")


def test_a_demonstration_beside_a_worker_is_not_run(tmp_path):
    found = proposed(tmp_path, {"demo.py": within(RUN), "worker.py": worker('"q"')})
    assert (only(found).command, only(found).restart, found.questions) == ("python worker.py", "always", ())
