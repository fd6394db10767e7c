"""The doctor's checklist: no alarm where all is well, and each fault of the stack is one failed check."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from mika.config import load as config
from mika.doctor.startup import explain
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.status import Phase, UnitStatus

from tests.kit.broken_workflows import Slow
from tests.kit.machine import DEADLINE, ROOT, free_port, poll_until, posix_only
from tests.kit.terminals import MISSPELT, QUEUE, Hand, inside, suspended

# --- no false alarm ---------------------------------------------------------------------------------------------------


def test_a_healthy_stack_gives_no_alarm(server: Hand) -> None:
    hand = server
    hand.stop("worker")  # so that nothing of an earlier test is in its log
    hand.mend()
    result, found = hand.checks()
    assert result.code == 0, str(result)
    alarms = {name: check for name, check in found.items() if check["status"] not in ("ok", "skip")}
    allowed = {"workflows", "timeouts"}  # earlier tests leave failures of the last minutes
    assert set(alarms) <= allowed, str(result)
    assert {"config", "docker", "ports", "temporal", "namespace", "ui", "api", "worker", "queue", "workflows"} <= set(
        found
    )
    assert {"history", "llm", "logs"} <= set(found)
    assert found["langbot"]["status"] == "skip"
    assert "LANGBOT_API_BASE_URL is not set" in found["langbot"]["finding"]


# --- the faults -------------------------------------------------------------------------------------------------------
# Each gives the settings that the doctor gets, and leaves to `after` what must be undone. Before the next one starts
# again what is missing, unless that one does without it, too: an API takes 1.8 s of CPU, a worker 1.4 s.


Env = dict[str, str]


def _suspended_worker(hand: Hand, after: ExitStack) -> Env:
    after.enter_context(suspended(hand.terminals["worker"].pid))
    return {}


def _misspelt_api(hand: Hand, after: ExitStack) -> Env:
    after.callback(hand.stop, "api")
    hand.api(TEMPORAL_TASK_QUEUE=MISSPELT)
    return {}


def _api_in_another_namespace(hand: Hand, after: ExitStack) -> Env:
    after.callback(hand.stop, "api")
    hand.api(TEMPORAL_NAMESPACE="elsewhere")
    return {}


def _no_namespace(_: Hand, __: ExitStack) -> Env:
    return {"TEMPORAL_NAMESPACE": f"missing-{uuid.uuid4().hex[:6]}"}


def _server_down(hand: Hand, _: ExitStack) -> Env:
    hand.stop("temporal")
    return {}


def _server_hangs(hand: Hand, after: ExitStack) -> Env:
    after.enter_context(suspended(hand.terminals["temporal"].pid))
    return {}


def _web_server_instead(_: Hand, after: ExitStack) -> Env:
    return {"TEMPORAL_PORT": str(after.enter_context(web_server()))}


def _no_ui(_: Hand, after: ExitStack) -> Env:
    return {"TEMPORAL_UI_PORT": str(after.enter_context(free_port()))}


def _no_api(hand: Hand, _: ExitStack) -> Env:
    hand.stop("api")
    return {}


def _api_hangs(hand: Hand, after: ExitStack) -> Env:
    after.enter_context(suspended(hand.terminals["api"].pid))
    return {}


def _api_elsewhere(_: Hand, after: ExitStack) -> Env:
    return {"API_PORT": str(after.enter_context(free_port()))}


def _api_port_taken(_: Hand, after: ExitStack) -> Env:
    return {"API_PORT": str(after.enter_context(web_server()))}


def _broken_store(hand: Hand, _: ExitStack) -> Env:
    store = hand.write("broken.sqlite3", b"this is not a database, and it is long enough to be looked at" * 100)
    return {"MIKA_HISTORY_FILE": str(store)}


def _no_mongodb(_: Hand, after: ExitStack) -> Env:
    return {"MONGODB_URL": f"mongodb://me:secret@127.0.0.1:{after.enter_context(free_port())}/"}


def _bad_setting(_: Hand, __: ExitStack) -> Env:
    return {"API_PORT": "eight thousand"}


def _bad_procfile(hand: Hand, after: ExitStack) -> Env:
    after.callback(hand.write, "Procfile", (ROOT / "Procfile").read_bytes())
    hand.write("Procfile", "api python\n")
    return {}


def _no_docker(hand: Hand, _: ExitStack) -> Env:
    return {"MIKA_BACKEND": "docker", "DOCKER_HOST": f"unix://{hand.folder}/no.sock"}


def _hanging_message(hand: Hand, _: ExitStack) -> Env:
    """A workflow of a type that our worker does not have."""
    hand.send("Mistyped")
    poll_until(lambda: "hang" in hand.checks()[1]["workflows"]["finding"], DEADLINE, "a hanging workflow", step=0.3)
    return {}


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


# --- one fault, one failed check --------------------------------------------------------------------------------------


FAULTS: list[tuple[Any, str, str, str, str, str]] = [
    # fault, what is not there before it, the one check that fails ("": none, a warning), word of the finding, of the
    # fix, consequences. The last one is the server that was down: to it the worker comes back after some seconds.
    (_suspended_worker, "", "worker", "is suspended", "kill -CONT", ""),
    (_no_namespace, "", "namespace", "has no namespace", "namespace create -n missing-", "worker queue workflows"),
    (_web_server_instead, "", "ports", "(TEMPORAL_PORT) is taken by ", "TEMPORAL_PORT=", "temporal namespace worker"),
    (_no_ui, "", "", "does not answer", "TEMPORAL_UI_PORT", ""),
    (_api_hangs, "", "api", "accepts a connection and does not answer", "kill ", ""),
    (_api_elsewhere, "", "api", "the API listens on port", "API_PORT=", ""),
    (_api_port_taken, "", "ports", "(API_PORT) is taken by ", "API_PORT=", "api"),
    (_broken_store, "", "history", "file is not a database", "mv ", ""),
    (_no_mongodb, "", "history", "does not answer", "MONGODB_URL", ""),
    (_bad_setting, "", "config", "API_PORT", "", "temporal worker api logs"),
    (_bad_procfile, "", "config", "Procfile:1", "", ""),
    (_no_docker, "", "docker", "no Docker engine answers at unix:", "start Docker", ""),
    (_hanging_message, "", "workflows", "workflow_task_failing", "register that workflow", ""),
    (_server_hangs, "", "temporal", "does not answer within 2 s", "restart that server", "namespace worker queue api"),
    (_no_api, "", "api", "nothing listens at", "uvicorn src.api.main:app", ""),
    (_misspelt_api, "api", "api", f"puts messages into {MISSPELT}", f"TEMPORAL_TASK_QUEUE={QUEUE}", ""),
    (_api_in_another_namespace, "api", "api", "uses the namespace elsewhere", "TEMPORAL_NAMESPACE=default", ""),
    (_server_down, "", "temporal", "nothing listens there", "start that", "namespace worker queue workflows api ui"),
]


@posix_only
@pytest.mark.parametrize(
    ("fault", "without", "failed", "finding", "fix", "consequences"),
    FAULTS,
    ids=[case[0].__name__.strip("_") for case in FAULTS],
)
def test_each_fault_is_one_failed_check(
    server: Hand, fault: Any, without: str, failed: str, finding: str, fix: str, consequences: str
) -> None:
    server.mend(*without.split())
    with ExitStack() as after:
        env = fault(server, after)
        found = one_fails(server, failed, finding, fix, **env)
    for name in consequences.split():
        assert found[name]["status"] == "skip", f"{name}: {found[name]}"
        assert found[name]["because"] == failed, f"{name}: {found[name]}"


def one_fails(hand: Hand, failed: str, finding: str, fix: str, **env: str) -> dict[str, dict[str, str]]:
    """What the doctor finds: one check that fails, of which `mika up` says the same."""
    result, found = hand.checks(**env)
    down = [name for name, check in found.items() if check["status"] == "fail"]
    assert down == ([failed] if failed else []), str(result)
    assert result.code == (1 if failed else 0)
    assert result.json["ok"] is (not failed)
    check = found[failed or "ui"]
    assert finding in check["finding"], str(result)
    assert fix in check["fix"], str(result)
    assert len(check["finding"]) <= 300
    assert "secret" not in result.out
    if failed in ("temporal", "namespace", "ports", "worker", "api") and "API_PORT" not in env:
        told = explained(hand, env, failed)
        assert finding in told, f"`mika up` says {told!r}"
    return found


def explained(hand: Hand, env: dict[str, str], failed: str) -> str:
    """What `mika up` would say about this fault at its end."""
    settings = config.load(hand.folder, environ=hand.environ(**env))
    name = failed if failed in ("worker", "api") else "temporal"
    role: Any = "service" if name == "temporal" else "process"
    late = UnitStatus(name=name, type=name, role=role, phase=Phase.STARTING, reason=Reason("not yet"))
    return asyncio.run(explain(settings, ProjectDir(settings.project), late)).text


@posix_only
def test_no_check_waits_for_the_time_out_of_another(hand: Hand) -> None:
    """Server and API hang: 2 s each, and together no more."""
    with suspended(hand.terminals["temporal"].pid), suspended(hand.terminals["api"].pid):
        result, found = hand.checks("--timeout", "4")
    assert [name for name, check in found.items() if check["status"] == "fail"] == ["temporal", "api"], str(result)


# --- a worker that is not there, for the stack and for a message -----------------------------------------------------

BY_HAND = "python -m src.workers.temporal_worker"


@posix_only
def test_a_worker_that_was_stopped_and_one_on_a_misspelt_queue(hand: Hand) -> None:
    hand.stop("worker")
    one_fails(hand, "worker", f"no worker polls {QUEUE}", BY_HAND)
    untaken = hand.send()
    assert BY_HAND in hand.story(untaken, "no_worker")["fix"]

    hand.worker(TEMPORAL_TASK_QUEUE=MISSPELT)
    one_fails(hand, "worker", f"polls {MISSPELT}", f"TEMPORAL_TASK_QUEUE={QUEUE}")
    astray = hand.send()
    story = hand.story(astray, "wrong_task_queue")
    assert f"TEMPORAL_TASK_QUEUE={QUEUE}" in story["fix"]

    hand.worker(TEMPORAL_TASK_QUEUE=QUEUE)
    for workflow_id in (untaken, astray):
        assert hand.result(workflow_id)["response"]
        hand.story(workflow_id, "healthy")


@posix_only
def test_a_worker_that_was_killed_and_one_in_another_namespace(hand: Hand) -> None:
    hand.stop("worker", signal.SIGKILL)
    one_fails(hand, "worker", "its process is gone", BY_HAND)
    untaken = hand.send()
    assert BY_HAND in hand.story(untaken, "no_worker")["fix"]

    other = f"other-{uuid.uuid4().hex[:6]}"
    refused = hand.mika("doctor", "--fix", env={"TEMPORAL_NAMESPACE": other})  # somebody else's server
    assert f"temporal operator namespace create -n {other} " in refused.out
    assert "created" not in refused.err
    created = hand.mika("doctor", "--fix", "--json", env={"TEMPORAL_NAMESPACE": other, "MIKA_BACKEND": "auto"})
    assert f"created the namespace {other}" in created.err
    assert {c["id"]: c["status"] for c in created.json["checks"]}["namespace"] == "ok"
    hand.worker(TEMPORAL_NAMESPACE=other)
    astray = hand.send()
    story = hand.story(astray, "wrong_namespace")
    assert other in story["finding"]
    away = hand.mika("doctor", "--workflow", astray, "--json", env={"TEMPORAL_NAMESPACE": other})
    assert (away.code, away.json["cause"]) == (1, "not_found")
    assert "TEMPORAL_NAMESPACE=default" in away.json["fix"]

    hand.worker()
    for workflow_id in (untaken, astray):
        assert hand.result(workflow_id)["response"]
        hand.story(workflow_id, "healthy")


def test_a_worker_without_activities(hand: Hand) -> None:
    hand.stop("worker")
    with inside(hand, queue=QUEUE, workflows=[Slow]):
        one_fails(hand, "worker", "but no activities", "register workflows and activities in that worker")
