"""What one mika says and another one shows: it arrives as a text that can still be said in another language."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mika import events
from mika.control import client
from mika.control.address import control_address
from mika.control.requests import GetStatus, Request
from mika.control.server import Server
from mika.errors import MikaError
from mika.project.event_log import EventLog, EventReader
from mika.project.folder import ProjectDir
from mika.reason import Reason, Repair
from mika.stack.background import Background, reported_to
from mika.status import LastExit, Phase, StackStatus, UnitStatus
from mika.wording import Text, _, joined

KEY = "k" * 64
_CHINESE = {
    "exit code {code}": "退出码 {code}",
    "{count} times in a row": "连续 {count} 次",
    ", ": "，",
    "restart it": "重启它",
    "{text}: {fix}": "{text}：{fix}",
}
_CRASHES = joined(_(", "), [_("exit code {code}", code=3), _("{count} times in a row", count=5)])
_REASON = Reason(_CRASHES, _("restart it"), Repair("restart", "web"))
_IN_CHINESE = "退出码 3，连续 5 次：重启它"


def _zh(text: object) -> str:
    assert isinstance(text, Text), f"{text!r} is English for ever"
    return text.translated(lambda template: _CHINESE.get(template, template))


@pytest.fixture
def folder(tmp_path: Path) -> ProjectDir:
    folder = ProjectDir(tmp_path)
    folder.create()
    return folder


def _asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object] | MikaError) -> Any:
    """What a supervisor that gives this answer is heard to say, through the real control channel."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def handler(_request: Request) -> dict[str, object]:
        if isinstance(answer, MikaError):
            raise answer
        return answer

    async def ask() -> Any:
        server = Server(control_address(tmp_path), KEY, handler)
        await server.start()
        try:
            return await asyncio.to_thread(client.send, server.address, KEY, GetStatus())
        finally:
            await server.close()

    return asyncio.run(ask())


def test_a_status_in_another_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = UnitStatus(
        name="web",
        role="process",
        phase=Phase.BACKOFF,
        reason=_REASON,
        held_back=_REASON,
        last_exit=LastExit(3, _REASON, 1.0),
    )
    said = StackStatus(
        state="degraded",
        backend="none",
        supervisor_pid=1,
        uptime_s=1.0,
        processes=(web,),
        left_out=_REASON.text,
        concerns=(_REASON,),
    )
    heard = StackStatus.from_json(_asked(tmp_path, monkeypatch, said.as_json()))
    assert heard.as_json() == said.as_json()
    assert "texts" not in json.dumps(heard.as_json()), "what --json prints"
    (unit,) = heard.processes
    assert unit.last_exit is not None
    for reason in (unit.reason, unit.held_back, *heard.concerns):
        assert reason == _REASON
        assert _zh(str(reason)) == _IN_CHINESE
    for text in (unit.last_exit.reason.text, heard.left_out):
        assert _zh(text) == "退出码 3，连续 5 次"


def test_the_answer_to_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = _asked(tmp_path, monkeypatch, {"names": ["web"], "notes": [_CRASHES]})
    assert list(map(_zh, answer["notes"])) == ["退出码 3，连续 5 次"]
    with pytest.raises(MikaError) as refused:
        _asked(tmp_path, monkeypatch, MikaError(_REASON.text, _REASON.fix, code="x"))
    assert (_zh(refused.value.message), _zh(refused.value.hint)) == ("退出码 3，连续 5 次", "重启它")


_EVENTS = [
    events.RungReached(name="web", rung=_("restart it"), elapsed=0.1, detail=_CRASHES),
    events.RungWaiting(name="web", rung=_("restart it"), reason=_REASON),
    events.Ready(name="web", elapsed=1.0, detail=_CRASHES),
    events.Unhealthy(name="web", reason=_REASON),
    events.Exited(name="web", pid=7, code=3, reason=_REASON, expected=False, last_lines=("its own words",)),
    events.GaveUp(name="web", reason=_REASON, last_lines=("its own words",)),
    events.Notice(level="warning", message=_CRASHES),
]


def test_events_in_another_terminal(folder: ProjectDir) -> None:
    reader, log = EventReader(folder), EventLog(folder)
    for event in _EVENTS:
        log.write(event)
    log.close()
    heard = reader.poll()
    assert heard == _EVENTS
    for event in heard:
        match event:
            case events.RungWaiting(reason=reason) | events.Unhealthy(reason=reason):
                assert _zh(str(reason)) == _IN_CHINESE
            case events.Exited(reason=reason) | events.GaveUp(reason=reason):
                assert _zh(str(reason)) == _IN_CHINESE
            case events.RungReached(detail=text) | events.Ready(detail=text) | events.Notice(message=text):
                assert _zh(text) == "退出码 3，连续 5 次"
        if isinstance(event, events.RungReached | events.RungWaiting):
            assert _zh(event.rung) == "重启它"


def test_the_report_of_a_supervisor_in_the_background(tmp_path: Path) -> None:
    report = tmp_path / "up-1.json"
    report.touch()
    with pytest.raises(SystemExit), reported_to(report):
        raise MikaError(_REASON.text, _REASON.fix, code="not_ready")
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"]) as process:
        process.wait()
        failure = Background(process, report).failure()
    assert (_zh(failure.message), _zh(failure.hint), failure.code) == ("退出码 3，连续 5 次", "重启它", "not_ready")
