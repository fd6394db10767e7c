"""A worker that has an identity by which mika cannot know it."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker


@pytest.mark.parametrize(
    ("identity", "is_own"),
    [
        ('f"w-{uuid4()}"', True),
        ("NAME", True),
        ('os.environ.get("MIKA_WORKER_IDENTITY")', False),
        ('os.getenv("MIKA_WORKER_IDENTITY") or NAME', False),
        ('f"{os.getpid()}@{socket.gethostname()}"', False),
        ("None", False),
    ],
)
@pytest.mark.parametrize("place", ['task_queue="q", identity=', 'connect("localhost:7233", identity='])
def test_a_worker_that_has_an_identity_of_its_own(tmp_path, identity, is_own, place):
    before = place.replace("identity=", "").removesuffix(", ").removesuffix(",").rstrip()
    source = worker('"q"', 'NAME = "my-worker"').replace(before, f"{place}{identity}", 1)
    found = proposed(tmp_path, {"worker.py": source})
    assert only(found).ready == ("none" if is_own else "worker:q/workflow")
    note = (
        "worker.py gives its worker an identity of its own, so that mika cannot recognise it: with"
        ' `identity=os.environ.get("MIKA_WORKER_IDENTITY")` and `ready = "worker:q/workflow"` it waits until it polls'
    )
    assert found.notes == ((note,) if is_own else ())


NODE_MANIFEST = '{"scripts": {"w": "tsx w.ts"}, "dependencies": {"@temporalio/worker": "1"}}'
GO_WORKER = 'package main\nfunc main() {\n\tw := worker.New(c, "q", worker.Options{Identity: OWN})\n}\n'
GO_OWN = ("go.mod", "module x\nrequire go.temporal.io/sdk v1.37.0\n", "main.go", GO_WORKER)
NODE_OWN = ("package.json", NODE_MANIFEST, "w.ts", "Worker.create({ taskQueue: 'q', identity: OWN })")


@pytest.mark.parametrize(
    ("files", "identity", "given"),
    [
        (GO_OWN, '"mine"', 'Identity: os.Getenv("MIKA_WORKER_IDENTITY")'),
        (GO_OWN, 'fmt.Sprintf("%d@%s", os.Getpid(), host)', ""),
        (GO_OWN, 'os.Getenv("MIKA_WORKER_IDENTITY")', ""),
        (NODE_OWN, "`w-${uuid()}`", "identity: process.env.MIKA_WORKER_IDENTITY"),
        (NODE_OWN, "`${process.pid}@${hostname()}`", ""),
        (NODE_OWN, "process.env.MIKA_WORKER_IDENTITY", ""),
    ],
)
def test_a_worker_in_another_language_that_has_an_identity_of_its_own(tmp_path, files, identity, given):
    manifest, manifest_text, path, text = files
    found = proposed(tmp_path, {manifest: manifest_text, path: text.replace("OWN", identity)})
    assert only(found).ready == ("none" if given else "worker:q")
    told = f'mika cannot recognise it: with `{given}` and `ready = "worker:q"` it waits until it polls'
    assert [note for note in found.notes if note.endswith(told)] == list(found.notes if given else ())
    assert bool(found.notes) == bool(given)
