"""The real stack: embedded Temporal, the bot's API and worker, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import time

import psutil
import pytest

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, ROOT, poll_until, posix_only

PID = re.compile(r"pid (\d+)")


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


@pytest.mark.parametrize("content", [None, "", "null", "[]", '{"pid": 1}'])
def test_a_damaged_or_lost_state_file_is_written_again(bot: Bot, content):
    file = bot.folder / ".mika" / "run" / "state.json"
    whole = file.read_bytes()
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
@pytest.mark.timeout(240)
def test_a_whole_life(own_bot):
    """Up, everything killed once and back by itself, down, up again: one stack, since each start costs seconds."""
    bot: Bot = own_bot()
    up = bot.up()
    for text in (
        "ready after",
        bot.url,
        f"http://127.0.0.1:{bot.ports['TEMPORAL_UI_PORT']}",
        ".mika/logs",
        "mika send",
    ):
        assert text in up.out
    assert "earlier turns that I remember: 0" in bot.ok("send", "first").out
    assert all(unit["restarts"] == 0 for unit in bot.status()["processes"])

    for name in ("worker", "api"):
        pid = bot.pid(name)
        os.kill(pid, signal.SIGKILL)
        entry = bot.wait_replaced(name, pid)
        assert entry["restarts"] == 1
        assert entry["last_exit"]["code"] == -9
        assert entry["last_exit"]["reason"] == "killed by SIGKILL"
        assert entry["last_exit"]["ago_s"] >= 0
    bot.wait_ready()

    pids = {unit: bot.pid(unit) for unit in ("worker", "api")}
    temporal = bot.pid("temporal")
    assert "temporal" in psutil.Process(temporal).name()
    os.kill(temporal, signal.SIGKILL)
    entry = bot.wait_replaced("temporal", temporal)
    assert entry["restarts"] == 1
    assert "SIGKILL" in entry["last_exit"]["reason"]
    bot.wait_ready()
    assert {unit: bot.pid(unit) for unit in ("worker", "api")} == pids, "they reconnect by themselves"
    assert [process["restarts"] for process in bot.status()["processes"]] == [1, 1]
    assert "earlier turns that I remember: 1" in bot.ok("send", "second").out

    before = bot.alive()
    assert len(before) >= 7  # supervisor, three services, three guards
    down = bot.ok("down")
    assert re.fullmatch(
        r"stopped worker, api, temporal, temporal-ui in \d+\.\d s; the data stays in \.mika/data\n", down.out
    )
    bot.assert_gone()
    bot.assert_ports_free()
    assert bot.error("status", code=3).err
    assert bot.error("send", "anybody there?", code=3).err

    bot.up()
    assert "earlier turns that I remember: 2" in bot.ok("send", "third").out
    assert bot.ok("down", "--volumes", "--yes").code == 0
    left = {path.name for path in (bot.folder / ".mika" / "data").iterdir()}
    assert left <= {"backend", "temporal.db.lock"}, "--volumes deletes the data"


@posix_only
def test_a_message_sent_while_the_worker_is_down_is_answered_in_one_send(bot: Bot):
    restarts = bot.unit("worker")["restarts"]
    os.kill(bot.pid("worker"), signal.SIGKILL)
    assert "are you there" in bot.ok("send", "are you there").out
    assert bot.unit("worker")["restarts"] == restarts + 1


@posix_only
def test_a_message_sent_while_the_api_is_down_is_answered_in_one_send(bot: Bot):
    os.kill(bot.pid("api"), signal.SIGKILL)
    assert "are you there" in bot.ok("send", "are you there").out


@posix_only
def test_a_message_sent_while_the_server_is_down_is_answered_in_one_send(bot: Bot):
    os.kill(bot.pid("temporal"), signal.SIGKILL)
    assert "are you there" in bot.ok("send", "are you there").out


# --- no worker, hung worker -------------------------------------------------------------------------------------------


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


@posix_only
@pytest.mark.timeout(180)
def test_a_hung_worker_is_told_apart_replaced_and_the_message_answered(own_bot):
    # The timeout of a workflow task decides how soon Temporal gives a task that a hung worker took to another one.
    bot: Bot = own_bot(env={"WORKFLOW_TASK_TIMEOUT": "8"})
    bot.up()
    pid = bot.pid("worker")
    poll_until((bot.folder / ".mika/run/worker.beat").exists, DEADLINE, "the first beat")
    os.kill(pid, signal.SIGSTOP)
    answer = bot.post("stuck")
    assert answer.status_code == 504, answer.text
    problem = answer.json()
    assert problem["code"] == "worker_unresponsive"
    assert problem["workflow_id"]
    entry = bot.wait_replaced("worker", pid)
    assert entry["restarts"] == 1
    assert "no beat" in bot.events("unhealthy", "worker")[0]["reason"]
    assert not psutil.pid_exists(pid)
    found = bot.ended(problem["workflow_id"])
    assert found["status"] == "completed", found
    assert "stuck" in found["response"]


# --- what cannot start ------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_import_ends_up_with_the_cause(own_bot):
    bot: Bot = own_bot(procfile=(ROOT / "Procfile").read_text().replace("temporal_worker", "temporal_wroker"))
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
    bot.assert_gone()


# --- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "words"),
    [("API_PORT", "up"), ("TEMPORAL_PORT", "up -d"), ("TEMPORAL_UI_PORT", "up -d --json")],
)
def test_a_port_that_is_taken_names_who_has_it(own_bot, variable, words):
    bot: Bot = own_bot()
    port = bot.ports[variable]
    with socket.create_server(("127.0.0.1", port)):
        result = bot.error(*words.split(), code=2)
    assert f"port {port} ({variable}) is taken by {psutil.Process().name()} (pid {os.getpid()})" in result.text
    if "--json" in words:
        assert result.json["error"]["code"] == "port_taken"
    bot.assert_gone()


# --- other backends ---------------------------------------------------------------------------------------------------


def test_external_uses_a_server_that_is_there_and_leaves_it(bot: Bot, own_bot):
    ports = {name: str(bot.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")}
    other: Bot = own_bot(backend="external", env={**ports, "TEMPORAL_TASK_QUEUE": "other-queue"})
    other.up()
    found = other.ok("status", "--json").json
    assert found["backend"] == "external"
    assert [(s["name"], s["kind"], s["state"]) for s in found["services"]] == [("temporal", "external", "ready")]
    assert "from outside" in other.ok("send", "from outside").out
    other.ok("down")
    other.assert_gone()
    assert bot.wait_ready()["state"] == "ready"
    assert "as before" in bot.ok("send", "as before").out


def test_external_without_a_server_says_which_rung(own_bot):
    bot: Bot = own_bot(backend="external")
    result = bot.error("up", "--timeout", "2", code=1)
    assert "temporal" in result.err
    assert "port open" in result.err
    assert "not ready after 2 s" in result.err
    bot.assert_gone()


def test_the_worker_of_another_stack_does_not_count_as_ours(bot: Bot, own_bot):
    """Some poller on the queue is no proof: ours must poll under its own identity."""
    ports = {name: str(bot.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")}
    bot.wait_ready()
    other: Bot = own_bot(backend="external", env=ports, procfile='worker: python -c "import time; time.sleep(600)"\n')
    result = other.error("up", "--timeout", "4", code=1)
    assert "it does not poll mika-bot-task-queue yet (others do: worker@" in result.err


# --- the foreground ---------------------------------------------------------------------------------------------------


@posix_only
def test_foreground_streams_and_ctrl_c_takes_everything_along(own_bot):
    bot: Bot = own_bot()
    up = bot.start_mika("up")
    up.wait_for("ready after")
    assert "seen" in bot.ok("send", "seen").out
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
