"""`mika why-silent`: what it asks the API, and what it says when that knows nothing or is another one."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from mika.cli import main
from mika.config import load as config
from mika.errors import MikaError, NotRunningError
from mika.stack.silence import why_silent

from tests.kit.machine import free_port
from tests.kit.stub_http import Answer, StubServer

NOW = datetime.now(UTC).isoformat(timespec="seconds")
SILENT = {
    "at": NOW,
    "door": "langbot",
    "taken": False,
    "workflow_id": None,
    "reason": "not_called",
    "detail": "nobody called it",
    "fix": "call it, then `mika restart api`",
}


@pytest.fixture
def api():
    with StubServer() as stub:
        yield stub


def known(*entries):
    return Answer(body={"found": list(entries), "remembered": len(entries), "since": NOW})


def settings(folder, api):
    port = api.url.rpartition(":")[2] if isinstance(api, StubServer) else api
    return config.load(folder, environ={"API_PORT": str(port), "WEBHOOK_SECRET": "s3cret"})


def test_a_silence_is_explained(tmp_path, api):
    api.plan.append(known(SILENT))
    (heard,) = why_silent("你好 & more", settings(tmp_path, api))
    assert (heard.reason, heard.finding, heard.fix) == ("not_called", "nobody called it", SILENT["fix"])
    ((path, headers, _),) = api.requests
    assert path == "/silent?id=%E4%BD%A0%E5%A5%BD+%26+more&text=%E4%BD%A0%E5%A5%BD+%26+more"
    assert headers["x-webhook-secret"] == "s3cret"


@pytest.mark.parametrize(
    ("workflow", "finding", "fix"),
    [
        ({"status": "running", "cause": "no_worker", "fix": "start it"}, "is running (no_worker)", "start it"),
        (
            {"status": "completed", "delivery": "maybe_sent", "detail": "cut off"},
            "is completed (delivery maybe_sent; cut off)",
            "`mika doctor --workflow w1` says more",
        ),
        ({"status": "failed", "error": {"code": "x", "detail": "why"}}, "is failed (why)", "`mika doctor --w"),
        ([], "is unknown", "`mika doctor --w"),
    ],
    ids=str,
)
def test_a_message_that_was_taken_is_followed(tmp_path, api, workflow, finding, fix):
    api.plan += [known({"at": NOW, "door": "onebot", "taken": True, "workflow_id": "w1"}), Answer(body=workflow)]
    (heard,) = why_silent("7", settings(tmp_path, api))
    assert heard.taken
    assert finding in heard.finding
    assert heard.fix.startswith(fix)
    assert api.requests[1][0] == "/workflows/w1"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (known(), "unknown_message"),
        (Answer(404, {"code": "not_found"}), "no_route"),
        (Answer(200, b"<html>"), "no_route"),
        (Answer(200, {"found": 5}), "no_route"),
        (Answer(401, {"code": "unauthorized"}), "unauthorized"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_when_there_is_no_answer(tmp_path, api, answer, code):
    api.default = answer
    with pytest.raises(MikaError) as caught:
        why_silent("hi", settings(tmp_path, api))
    assert caught.value.code == code
    assert caught.value.exit_code == 1


def test_when_nothing_runs(tmp_path):
    with free_port() as port, pytest.raises(NotRunningError):
        why_silent("hi", settings(tmp_path, port))


def test_the_command(tmp_path, api, capsys, monkeypatch):
    (tmp_path / "Procfile").write_text("web: serve\n", encoding="utf-8")
    monkeypatch.setenv("API_PORT", api.url.rpartition(":")[2])
    api.default = known(SILENT)
    assert main.run(["-C", str(tmp_path), "why-silent", "hi"]) == 0
    out = capsys.readouterr().out
    assert "not answered (not_called): nobody called it" in out
    assert "call it, then `" in out
    assert main.run(["-C", str(tmp_path), "why-silent", "hi", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"][0]["reason"] == "not_called"
    api.default = known()
    assert main.run(["-C", str(tmp_path), "why-silent", "hi"]) == 1
    assert "remembers no such message" in capsys.readouterr().err
