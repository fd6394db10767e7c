"""The parts of the doctor that need no stack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mika.cli.doctor import render
from mika.cli.screen.story import render_story
from mika.cli.workflows import render as render_rows
from mika.containers import compose
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.timeline import Entry
from mika.doctor import run, server, startup
from mika.doctor.check import Check, Report, fail, ok, skipped, unknown, warn
from mika.doctor.checks import llm
from mika.doctor.checks import project as project_checks
from mika.doctor.checks.dependencies import dependencies
from mika.doctor.examination import Examination
from mika.doctor.workflows.listing import Row
from mika.doctor.workflows.story import Story
from mika.errors import MikaError, UsageError
from mika.machine import grpc
from mika.machine.http import Answer
from mika.project.folder import ProjectDir
from mika.reason import Reason, Repair
from mika.status import Phase, UnitStatus
from mika.text import plain
from mika.wording import Text, _
from temporalio.service import RPCError, RPCStatusCode

from tests.kit.doctor import examine, load
from tests.kit.machine import free_port, posix_only


@contextlib.asynccontextmanager
async def tcp_server(greeting: bytes | None) -> Any:
    """Answers with `greeting`; with None it accepts and says nothing."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(1)
        if greeting is not None:
            writer.write(greeting)
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Answer("http", 200, body=b'{"choices": []}'), "ok", "answers"),
        (Answer("http", 200, body=b"<html>", headers={"content-type": "text/html"}), "fail", "/v1"),
        (Answer("http", 200, body=b'["no", "object"]'), "fail", "/v1"),
        (Answer("http", 401), "fail", "LLM_API_KEY"),
        (Answer("http", 404), "fail", "LLM_MODEL"),
        (Answer("http", 429, headers={"retry-after": "20"}), "fail", "wait 20 s"),
        (Answer("http", 503), "fail", "the server's own fault"),
        (Answer("http", 418), "fail", "its answer says what is wrong"),
        (Answer("silent"), "fail", "did not answer within 15 s; check the network and LLM_BASE_URL"),
        (Answer("refused", reason="connection refused"), "fail", "example.com cannot be reached: connection refused"),
        (Answer("refused", reason="x", proxy="http://p:1"), "fail", "cannot be reached (through the proxy http://p:1)"),
        (
            Answer("http", 502, proxy="http://p:1"),
            "fail",
            "answers 502 (through the proxy http://p:1); check the proxy",
        ),
        (Answer("http", 407, proxy="http://p:1"), "fail", "USER:PASSWORD"),
    ],
)
def test_what_a_model_answers(answer: Answer, status: str, words: str) -> None:
    check = llm._judge(answer, "example.com", "gpt", 0.5)
    assert check.status == status
    assert words in f"{check.finding}; {check.fix}"


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greeting", "state", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\n", "foreign", "a web server answers there (nginx)"),
        (b"-ERR unknown command\r\n", "foreign", "not a Temporal server"),
        (None, "silent", "does not answer within"),
        (b"", "unhealthy", "closes each connection at once"),
    ],
)
def test_what_listens_instead_of_temporal(
    monkeypatch: pytest.MonkeyPatch, greeting: bytes | None, state: str, words: str
) -> None:
    monkeypatch.setattr(grpc, "TIMEOUT", 0.5)

    async def look() -> server.Server:
        async with tcp_server(greeting) as port:
            return await server.look("127.0.0.1", port, "default", {})

    found = asyncio.run(look())
    assert found.state == state, found
    assert words in found.detail
    with pytest.raises(RuntimeError):
        _ = found.temporal


@pytest.mark.skipif(not socket.has_ipv6, reason="Python has no IPv6 here")
def test_a_port_that_answers_at_one_address_only_is_named_with_that_address(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening, socket.socket() as kept:
        port = listening.getsockname()[1]
        kept.bind(("127.0.0.1", port))  # without `listen`: so nobody else answers there
        (tmp_path / "Procfile").write_text("six: serve\n", encoding="utf-8")
        (tmp_path / "mika.toml").write_text(
            f'backend = "none"\n[process.six]\nready = "tcp:{port}"\n', encoding="utf-8"
        )
        found = examine(tmp_path)["api"]
    assert (found.status, found.finding) == ("ok", f"six: [::1]:{port}")


def test_a_server_that_answers_is_not_silent_because_the_sdk_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> server.Server:
        await asyncio.sleep(3600)
        raise AssertionError

    def look(code: int) -> server.Server:
        async def found(*_: object) -> grpc.Finding:
            return grpc.Finding("status", code)

        monkeypatch.setattr(server.access, "look", found)
        return asyncio.run(server.look("127.0.0.1", 7233, "default", {}))

    monkeypatch.setattr(server, "_ask", never)
    monkeypatch.setattr(server, "TIMEOUT", 0.1)
    with pytest.raises(MikaError, match="answers, but the SDK was not ready within"):
        look(0)
    assert look(14).state == "silent", "UNAVAILABLE is an answer, too, but not of a server that is well"


@posix_only
def test_a_compose_that_is_slow_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(compose.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MikaError, match="did not exit within") as slow:
        compose.find({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, 0.2)
    assert slow.value.code == "compose_unusable", "of which the doctor makes no failure"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    with pytest.raises(MikaError, match="not installed"):
        compose.find({"PATH": f"{tmp_path}:/usr/bin:/bin"}, 10.0)


# --- the whole --------------------------------------------------------------------------------------------------------


def test_a_broken_check_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(_: Examination) -> Check:
        raise ZeroDivisionError("in a check")

    async def hangs(_: Examination) -> Check:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(run, "CHECKS", (("one", breaks), ("two", hangs), ("disk", project_checks.disk)))
    settings = load(tmp_path)
    report = asyncio.run(run.examine(settings, ProjectDir(settings.project), timeout=0.2))
    assert [(check.status, check.unknown) for check in report.checks] == [("warn", True), ("warn", True), ("ok", False)]
    broken, late, disk = report.as_json()["checks"]
    assert "could not be checked: in a check" in broken["finding"]
    assert "could not be checked: not done within 0.2 s" in late["finding"]
    assert late["fix"] == "try again: `mika doctor --timeout 0.4`"
    assert (broken["checked"], late["checked"], "checked" in disk) == (False, False, False)
    assert report.ok, "nothing is known to have failed"
    text = plain(render(report))
    assert text.endswith("no failure was found; look at: one, two")
    assert "nothing to fix" not in text


def test_what_could_not_be_checked_for_one_reason_is_one_line() -> None:
    names = ("one", "two", "three")
    late = [unknown(name, "late", "try again") for name in names]
    assert plain(render(Report((*late, unknown("four", "broken", "report it"), warn("five", "odd", "try again"))))) == (
        "warn  one         could not be checked: late (the same: two, three)\n"
        "                  fix: try again\n"
        "warn  four        could not be checked: broken\n"
        "                  fix: report it\n"
        "warn  five        odd\n"
        "                  fix: try again\n"
        "\n"
        "no failure was found; look at: one, four, five"
    )


def test_a_request_that_temporal_does_not_answer_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asks(_: Examination) -> Check:
        raise RPCError("Timeout expired", RPCStatusCode.DEADLINE_EXCEEDED, b"")

    monkeypatch.setattr(run, "CHECKS", (("workflows", asks),))
    settings = load(tmp_path)
    (check,) = asyncio.run(run.examine(settings, ProjectDir(settings.project))).checks
    assert (check.status, check.unknown) == ("fail", False)
    assert "does not answer" in check.finding
    found = run._consequences([fail("temporal", "down", "up"), check])
    assert [(each.status, each.because) for each in found] == [("fail", ""), ("skip", "temporal")]
    late = unknown("ui", "late", "again")
    assert run._consequences([fail("temporal", "down", "up"), late])[1] == late, "for which Temporal is no reason"
    assert run._consequences([check]) == (check,)


def test_a_report_and_its_json() -> None:
    report = Report(
        (
            warn("config", "odd", "fix it"),
            fail("worker", "gone", "`mika start worker`", Repair("start", "worker")),
            skipped("queue", "3 wait", "worker"),
        )
    )
    assert not report.ok
    assert report.as_json() == {
        "version": 1,
        "ok": False,
        "checks": [
            {"id": "config", "status": "warn", "finding": "odd", "fix": "fix it"},
            {"id": "worker", "status": "fail", "finding": "gone", "fix": "`mika start worker`"},
            {"id": "queue", "status": "skip", "finding": "3 wait", "fix": "", "because": "worker"},
        ],
    }
    text = render(report)
    assert "fix:\x1b[0m `mika start worker`" in text
    assert "3 wait (because of worker)" in text
    assert text.endswith("1 to fix, first: worker")
    assert render(Report(report.checks[:1])).endswith("no failure was found; look at: config")
    assert Report(()).ok


def test_while_nothing_runs_only_what_is_in_the_way_is_told() -> None:
    quiet = (ok("ports", "free"), skipped("stack", "none"), fail("temporal", "gone", "`mika up`", Repair("up")))
    assert render(Report(quiet, is_down=True)) == "no stack is running here: `mika up`"
    text = plain(render(Report((*quiet, fail("disk", "full", "delete")), is_down=True)))
    assert text.splitlines() == [
        "no stack is running here: `mika up`",
        "FAIL  disk        full",
        "                  fix: delete",
        "",
        "1 to fix, first: disk",
    ]
    text = plain(render(Report((*quiet, warn("logs", "a traceback", "look")), is_down=True)))
    assert text.splitlines()[1:] == ["warn  logs        a traceback", "                  fix: look"], (
        "the exit code is 1"
    )


def test_settings_that_cannot_be_read_stop_everything_else() -> None:
    report = run.broken_configuration(UsageError(".env:1: API_PORT is 'x'", "give a number"))
    assert [check.id for check in report.checks] == [check_id for check_id, _ in run.CHECKS]
    assert {check.because for check in report.checks[1:]} == {"config"}


def test_the_story_of_a_workflow() -> None:
    story = Story(
        "m-1",
        "r",
        "running",
        4.0,
        "http://ui",
        Diagnosis(Cause.NO_WORKER, "nobody", ("seen",), "start it"),
        (Entry(0, "started"),),
    )
    text = render_story(story, Path())
    for word in ("m-1", "0.00 s  started", "nobody", "evidence: seen", "start it", "http://ui"):
        assert word in text
    found = story.as_json()
    assert set(found) >= {"version", "workflow", "cause", "evidence", "fix"}
    assert set(found["workflow"]) >= {"id", "status", "age_s", "ui"}
    json.dumps(found)


def test_a_list_of_workflows() -> None:
    rows = [
        Row("good", "T", "q", "completed", 4.0, 0.3, Diagnosis(Cause.HEALTHY, "")),
        Row("bad", "T", "q", "running", 400.0, None, Diagnosis(Cause.NO_WORKER, "")),
    ]
    lines = render_rows(rows).splitlines()
    assert lines[0].split() == ["AGE", "STATE", "TOOK", "CAUSE", "ID"]
    assert lines[1].split() == ["4.0", "s", "completed", "0.3", "s", "-", "good"]
    assert "7 min" in lines[2]
    json.dumps([row.as_json() for row in rows])


def test_an_explanation_of_a_start_that_failed(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: serve\n", encoding="utf-8")
    with free_port() as port:
        settings = load(tmp_path, TEMPORAL_PORT=str(port), MIKA_BACKEND="embedded")
        folder = ProjectDir(settings.project)
        late = UnitStatus(
            name="temporal", type="temporal", role="service", phase=Phase.STARTING, reason=Reason("refused")
        )
        explained = asyncio.run(startup.explain(settings, folder, late))
        nothing = f"no Temporal server at 127.0.0.1:{port}: nothing listens there"
        assert (explained.text, explained.fix) == (nothing, "`mika up`")


def test_every_repair_has_words() -> None:
    for repair in (Repair("start", "worker"), Repair("namespace", "x"), Repair("sweep"), Repair("up")):
        assert str(repair)
    assert not Repair("up").is_safe


def test_a_finding_is_cut_in_every_language() -> None:
    finding = fail("x", _("it says: {text}", text="x" * 400), "").finding
    assert finding == "it says: " + "x" * 291
    assert isinstance(finding, Text)
    assert finding.translated(lambda template: template.replace("it says: ", "它说：")) == "它说：" + "x" * 297


def test_what_the_bots_api_says_of_its_parts_can_still_be_translated() -> None:
    said = _("{name} does not answer", name="LangBot")
    part = {"state": "unavailable", "detail": said, "fix": "start\nit"}
    exam = SimpleNamespace(dependencies=lambda: _soon({"langbot": part}))
    (check,) = asyncio.run(dependencies(cast("Examination", exam)))
    assert check.reason == Reason("LangBot does not answer", "start it")
    assert isinstance(check.reason.text, Text)
    assert check.reason.text.template == said.template


async def _soon(value: Any) -> Any:
    return value


def test_a_mark_alone_is_no_killed_run(tmp_path):
    """`mika run` and `mika check` leave one when they are killed."""
    folder = ProjectDir(tmp_path)
    folder.create()
    folder.add_mark("12345678-ended")
    (tmp_path / "Procfile").write_text("worker: python worker.py\n")
    check = examine(tmp_path, MIKA_BACKEND="none")["stack"]
    assert (check.status, check.finding) == ("skip", "not started by `mika up`")
