"""The real stack: embedded Temporal, the bot's API and worker, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import uuid

import psutil
import pytest

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, poll_until, posix_only

# --- up, send, status -------------------------------------------------------------------------------------------------


def test_send_prints_the_reply(bot: Bot):
    assert "hello there" in bot.ok("send", "hello there").out


def test_send_json_is_one_object(bot: Bot):
    answer = bot.ok("send", "--json", "--user", "ann", "--group", "g1", "hi").json
    assert answer["version"] == 1
    assert "hi" in answer["response"]
    assert bot.workflow(answer["workflow_id"])["status"] == "completed"


def test_a_terminal_with_other_settings_finds_the_stack_that_runs(bot: Bot):
    other = {name: str(10 + number) for number, name in enumerate(bot.ports)} | {"TEMPORAL_TASK_QUEUE": "elsewhere"}
    assert "from there" in bot.mika("send", "from there", env=other).out
    doctor = bot.mika("doctor", "--json", env=other)
    assert doctor.code == 0, str(doctor)
    stack = next(check["finding"] for check in doctor.json["checks"] if check["id"] == "stack")
    assert f"API_PORT={bot.ports['API_PORT']}" in stack
    assert f"{other['API_PORT']} (environment)" in stack
    assert bot.mika("workflows", "--json", env=other).json["workflows"]
    settings = bot.mika("config", "--json", env=other).json["settings"]
    assert settings["API_PORT"]["value"] == int(other["API_PORT"]), "what the next start would take"


def test_a_folder_whose_stack_is_down_leaves_that_of_another_alone(bot: Bot, own_bot):
    """It would be answered by the other's bot, and end the other's messages."""
    other: Bot = own_bot(name="other", env={name: str(port) for name, port in bot.ports.items()})
    refused = other.error("send", "hello", code=3)
    assert f"port {bot.ports['API_PORT']} (API_PORT) is that of the stack in {bot.folder}" in refused.err
    assert f"`-C {bot.folder}` after `" in refused.err
    for words in (["workflows"], ["workflows", "terminate", "some-id", "--yes"], ["doctor", "--workflow", "last"]):
        assert f"is that of the stack in {bot.folder}" in other.error(*words, code=3).err
    found = {check["id"]: check for check in other.mika("doctor", "--json").json["checks"]}
    assert [name for name, check in found.items() if check["status"] == "fail"] == ["ports"]
    assert f"is that of the stack in {bot.folder}" in found["ports"]["finding"]
    assert found["ports"]["fix"].startswith(f"`mika -C {bot.folder} down`")
    assert found["worker"]["because"] == "ports"
    # Another machine's port of that number is no business of ours: it is asked, and does not answer.
    elsewhere = other.mika("send", "--timeout", "1", "hello", env={"API_HOST": "192.0.2.1"}, timeout=120)
    assert "the stack in" not in elsewhere.err, str(elsewhere)


def test_a_damaged_or_lost_state_file_is_written_again(bot: Bot):
    file = bot.folder / ".mika" / "run" / "state.json"
    whole = file.read_bytes()
    for content in (None, "", '{"pid": 1}'):
        if content is None:
            file.unlink()
        else:
            file.write_text(content, encoding="utf-8")
        poll_until(lambda: file.exists() and file.read_bytes() == whole, DEADLINE, "it is whole again")
        assert bot.ok("status", "--json").json["state"] == "ready"


def test_status_has_the_shape_of_the_contract(bot: Bot):
    found = bot.ok("status", "--json").json
    assert found["version"] == 1
    assert found["state"] == "ready"
    assert found["backend"] == "embedded"
    assert psutil.pid_exists(found["supervisor"]["pid"])
    assert found["supervisor"]["uptime_s"] > 0
    assert found["urls"] == {
        "api": f"http://127.0.0.1:{bot.ports['API_PORT']}",
        "temporal_ui": f"http://127.0.0.1:{bot.ports['TEMPORAL_UI_PORT']}",
    }
    services = {service["name"]: service for service in found["services"]}
    assert services["temporal"]["kind"] == "process"
    assert services["temporal"]["state"] == "ready"
    assert services["temporal"]["address"] == f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}"
    assert services["temporal"]["detail"] == "SERVING, namespace default"
    for service in found["services"]:
        assert {"name", "kind", "state", "address", "detail"} <= service.keys()
    assert [process["name"] for process in found["processes"]] == ["api", "worker"]
    for process in found["processes"]:
        assert process.keys() >= {
            "name",
            "pid",
            "state",
            "restarts",
            "uptime_s",
            "rss_mb",
            "last_exit",
            "detail",
        }
        assert process["state"] == "ready"
        assert process["rss_mb"] > 1
        assert process["uptime_s"] > 0
    worker = found["processes"][1]
    assert worker["detail"] == "polling mika-bot-task-queue"
    assert "src.workers.temporal_worker" in psutil.Process(worker["pid"]).cmdline()


def test_status_for_people_names_everything(bot: Bot):
    text = bot.ok("status").out
    for word in ("ready", "temporal", "api", "worker", bot.url, "polling mika-bot-task-queue"):
        assert word in text
    assert "\x1b" not in text


def test_wait_returns_when_ready(bot: Bot):
    assert bot.ok("wait").out == "ready\n"
    assert bot.ok("wait", "worker", "api").out == "ready: worker, api\n"


def test_a_second_up_attaches_and_ctrl_c_only_detaches(bot: Bot):
    supervisor = bot.status()["supervisor"]["pid"]
    second = bot.start_mika("up")
    second.wait_for(f"attached to supervisor pid {supervisor}")
    if os.name != "nt":
        second.send(signal.SIGINT)
        assert second.wait() == 130
    assert bot.status()["supervisor"]["pid"] == supervisor
    assert bot.up().code == 0
    assert bot.status()["supervisor"]["pid"] == supervisor


# --- what dies comes back ---------------------------------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("name", ["worker", "api"])
def test_what_is_killed_comes_back_and_a_message_meanwhile_is_answered_in_one_send(bot: Bot, name: str):
    pid, restarts = bot.pid(name), bot.unit(name)["restarts"]
    somebody = ("--user", uuid.uuid4().hex)
    assert "earlier turns that I remember: 0" in bot.ok("send", *somebody, "hello").out
    os.kill(pid, signal.SIGKILL)
    told = bot.ok("send", *somebody, "are you there").out
    assert "are you there" in told
    assert "earlier turns that I remember: 1" in told
    entry = bot.wait_replaced(name, pid)
    assert entry["restarts"] == restarts + 1
    assert entry["last_exit"]["code"] == -9
    assert entry["last_exit"]["reason"] == "killed by SIGKILL"
    assert entry["last_exit"]["ago_s"] >= 0


@posix_only
def test_so_does_the_server_and_the_bot_reconnects_by_itself(bot: Bot):
    others = {name: bot.pid(name) for name in ("worker", "api")}
    pid, restarts = bot.pid("temporal"), bot.unit("temporal")["restarts"]
    assert "temporal" in psutil.Process(pid).name()
    os.kill(pid, signal.SIGKILL)
    assert "are you there" in bot.ok("send", "are you there").out
    entry = bot.wait_replaced("temporal", pid)
    assert entry["restarts"] == restarts + 1
    assert "SIGKILL" in entry["last_exit"]["reason"]
    bot.wait_ready()
    assert {name: bot.pid(name) for name in others} == others


# --- no worker --------------------------------------------------------------------------------------------------------


def test_without_a_worker_the_answer_is_503_and_comes_later(bot: Bot):
    bot.ok("stop", "worker")
    began = time.monotonic()
    answer = bot.post("kept")
    assert answer.status_code == 503
    assert time.monotonic() - began < 10, "as soon as it is clear, not after a timeout of the workflow"
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    problem = answer.json()
    assert problem["code"] == "no_worker"
    assert problem["status"] == 503
    assert bot.workflow(problem["workflow_id"])["status"] == "running"
    result = bot.error("send", "to nobody", code=1)
    assert "mika start worker" in result.err
    bot.ok("start", "worker")
    found = bot.ended(problem["workflow_id"])
    assert found["status"] == "completed"
    assert "kept" in found["response"]


# --- what cannot start ------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_import_ends_up_with_the_cause(own_bot):
    bot: Bot = own_bot(procfile="worker: python -m src.workers.temporal_wroker\n")
    result = bot.error("up", code=1, timeout=60)
    assert re.search(r"worker gave up: .*No module named src\.workers\.temporal_wroker", result.err), str(result)
    bot.assert_gone()
    bot.assert_ports_free()


def test_a_database_that_is_not_one_ends_up_with_the_cause(own_bot):
    bot: Bot = own_bot()
    data = bot.folder / ".mika" / "data"
    data.mkdir(parents=True)
    (data / "temporal.db").write_bytes(b"this is not a database\n" * 100)
    result = bot.error("up", "-d", "--timeout", "20", code=1, timeout=60)
    assert "temporal" in result.err
    assert "not a database" in result.err, str(result)
    assert ".mika/data/temporal.db) is broken: restore a copy, or move it away" in result.err
    bot.assert_gone()


# --- ports ------------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_names_who_has_it(own_bot):
    bot: Bot = own_bot()
    for variable, words in {"API_PORT": "up", "TEMPORAL_PORT": "up -d", "TEMPORAL_UI_PORT": "up -d --json"}.items():
        port = bot.ports[variable]
        with socket.create_server(("127.0.0.1", port)):
            result = bot.error(*words.split(), code=2, process=False)
        assert f"port {port} ({variable}) is taken by {psutil.Process().name()} (pid {os.getpid()})" in result.text
    assert result.json["error"]["code"] == "port_taken"
    bot.assert_gone()


# --- other backends ---------------------------------------------------------------------------------------------------


def test_external_uses_a_server_that_is_there_and_leaves_it(bot: Bot, own_bot):
    """Some poller on the queue is no proof that a worker is ready: it must poll under its own identity."""
    ports = {name: str(bot.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")}
    sleep = 'python -c "import time; time.sleep(600)"'
    other: Bot = own_bot(backend="external", env=ports, procfile=f"worker: {sleep}\nweb: {sleep}\n")
    result = other.error("up", "--timeout", "4", code=1)
    assert "it does not poll mika-bot-task-queue yet (others do: worker@" in result.err
    other.up("web")
    found = other.ok("status", "--json").json
    assert found["backend"] == "external"
    assert [(s["name"], s["kind"], s["state"]) for s in found["services"]] == [("temporal", "external", "ready")]
    other.ok("down")
    other.assert_gone()
    assert bot.wait_ready()["state"] == "ready"
    assert "as before" in bot.ok("send", "as before").out


# --- up and down ------------------------------------------------------------------------------------------------------


@posix_only
@pytest.mark.timeout(240)
def test_up_down_and_up_again_in_the_foreground(own_bot):
    """A whole life in one folder, since each start costs seconds."""
    bot: Bot = own_bot()
    started = bot.up().out
    for text in (
        "ready after",
        bot.url,
        f"http://127.0.0.1:{bot.ports['TEMPORAL_UI_PORT']}",
        ".mika/logs",
        "mika send",
    ):
        assert text in started
    assert "earlier turns that I remember: 0" in bot.ok("send", "first").out
    assert all(unit["restarts"] == 0 for unit in bot.status()["processes"])
    assert len(bot.alive()) >= 7  # supervisor, three services, three guards
    down = bot.ok("down")
    assert re.fullmatch(
        r"stopped worker, api, temporal, temporal-ui in \d+\.\d s; the data stays in \.mika/data\n", down.out
    )
    bot.assert_gone()
    bot.assert_ports_free()
    assert bot.error("status", code=3).err
    assert bot.error("send", "anybody there?", code=3).err

    up = bot.start_mika("up")
    up.wait_for("ready after")
    assert "earlier turns that I remember: 1" in bot.ok("send", "second").out
    output = up.wait_for("workflow_completed")
    steps = [
        "temporal     port open",
        "temporal     serving",
        "temporal     namespace default",
        "temporal     usable",
        "temporal     ready",
        "worker       polling",
        "ready after",
    ]
    places = [output.index(step) for step in steps]
    assert places == sorted(places), output
    assert re.search(r'^api +\| \{.*"workflow_completed"', output, re.MULTILINE), output
    up.send(signal.SIGINT)
    assert up.wait() == 130
    assert "stopping" in up.output()
    bot.assert_gone()
    bot.assert_ports_free()
    stopped = [event["name"] for event in bot.events("stopped")]
    assert stopped[-1] == "temporal", "services stop after the processes that need them"
    assert bot.ok("down", "--volumes", "--yes").code == 0
    left = {path.name for path in (bot.folder / ".mika" / "data").iterdir()}
    assert left <= {"backend", "temporal.db.lock"}, "--volumes deletes the data"
