"""Bad input: one clear line that says where, what and how to mend it, exit code 2, never a traceback."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.kit.machine import DEADLINE, free_port, poll_until, posix_only
from tests.kit.programs import SERVER, SLEEP
from tests.kit.project import Project
from tests.kit.runs import Result

GOOD = 'web: python -c "import time; time.sleep(600)"\n'
VERBS = ("up", "down", "status", "wait", "logs", "restart web", "stop web", "start web", "send hello", "config")


@dataclass(frozen=True)
class Bad:
    """`words` must all be in the message."""

    words: Sequence[str]
    procfile: str | bytes = GOOD
    toml: str = ""
    dotenv: str | bytes = ""
    env: dict[str, str] = field(default_factory=dict)
    args: str = "up"


PROCFILE = {
    "empty": Bad(["Procfile", "no entries"], procfile=b""),
    "only comments": Bad(["Procfile", "no entries"], procfile="# nothing\n\n"),
    "duplicate name": Bad(["Procfile:2", "web"], procfile=GOOD + GOOD),
    "bad name": Bad(["Procfile:1", "my.web"], procfile="my.web: python web.py\n"),
    "no entry": Bad(["Procfile:2", "python web.py"], procfile=GOOD + "python web.py\n"),
    "no command": Bad(["Procfile:1", "web"], procfile="web:\n"),
    "invalid UTF-8": Bad(["Procfile:2", "UTF-8"], procfile=GOOD.encode() + b"b: echo \xff\n"),
    "UTF-16": Bad(["Procfile:1", "UTF-8"], procfile=GOOD.encode("utf-16")),
    "unknown program": Bad(["Procfile:1", "no-such-program-xyz"], procfile="web: no-such-program-xyz --port 1\n"),
    "unknown program in the second entry": Bad(["Procfile:2", "pyhton"], procfile=GOOD + "b: pyhton b.py\n"),
    "open quote": Bad(["Procfile:1"], procfile="web: echo 'hello\n"),
}
NAMES = {
    "up": Bad(["'wbe'", "did you mean 'web'"], args="up wbe"),
    "up count": Bad(["'wbe'", "did you mean 'web'"], args="up wbe=2"),
    "up count no number": Bad(["web=x"], args="up web=x"),
    "up count negative": Bad(["web=-1"], args="up web=-1"),
    "logs": Bad(["'wbe'"], args="logs wbe"),
    "verb": Bad(["'statsu'", "did you mean 'status'"], args="statsu"),
    "option": Bad(["--detahc"], args="up --detahc"),
    "nothing to stop": Bad(["NAME"], args="stop"),
}
SETTINGS = {
    "port too large": Bad(["environment", "API_PORT", "70000", "65535"], env={"API_PORT": "70000"}),
    "port zero": Bad(["environment", "API_PORT", "'0'"], env={"API_PORT": "0"}),
    "port a word": Bad([".env:1", "API_PORT", "http"], dotenv="API_PORT=http\n"),
    "port empty": Bad([".env:2", "API_PORT", "empty"], dotenv="# mine\nAPI_PORT=\n"),
    "port twice": Bad(
        ["TEMPORAL_UI_PORT", "18999"],
        env={"TEMPORAL_PORT": "18999", "TEMPORAL_UI_PORT": "18999", "MIKA_BACKEND": "embedded"},
    ),
    "timeout zero": Bad(["--timeout", "0"], args="up --timeout 0"),
    "timeout negative": Bad(["--timeout", "-3"], args="up --timeout -3"),
    "timeout NaN": Bad(["--timeout", "nan"], args="up --timeout nan"),
    "timeout infinite": Bad(["--timeout", "inf"], args="up --timeout inf"),
    "timeout a word": Bad(["--timeout", "soon"], args="up --timeout soon"),
    "timeout of wait": Bad(["--timeout", "soon"], args="wait --timeout soon"),
    "timeout of down": Bad(["--timeout", "0"], args="down --timeout 0"),
    "run timeout": Bad(["mika.toml:1", "workflow_run_timeout", "0"], toml="workflow_run_timeout = 0\n"),
    "run longer than execution": Bad(["WORKFLOW_RUN_TIMEOUT"], env={"WORKFLOW_RUN_TIMEOUT": "900"}),
    "backend option": Bad(["--backend", "dokcer", "did you mean 'docker'"], args="up --backend dokcer"),
    "backend variable": Bad(["environment", "MIKA_BACKEND", "dokcer"], env={"MIKA_BACKEND": "dokcer"}),
    "hang timeout": Bad(["MIKA_HANG_TIMEOUT", "-1"], env={"MIKA_HANG_TIMEOUT": "-1"}),
}
FILES = {
    "bad TOML": Bad(["mika.toml:2"], toml="a = 1\nb = = 2\n"),
    "TOML unknown key": Bad(["mika.toml:1", "'bakcend'", "did you mean 'backend'"], toml='bakcend = "none"\n'),
    "TOML wrong type": Bad(["mika.toml:1", "api_port"], toml='api_port = "8000"\n'),
    "TOML unknown process": Bad(
        ["mika.toml:1", "'wbe'", "did you mean 'web'"], toml='[process.wbe]\nrestart = "never"\n'
    ),
    "TOML unknown option": Bad(["mika.toml:2", "'restrat'"], toml='[process.web]\nrestrat = "never"\n'),
    "TOML restart": Bad(["mika.toml:2", "sometimes", "never"], toml='[process.web]\nrestart = "sometimes"\n'),
    "TOML ready": Bad(["mika.toml:2", "port:80"], toml='[process.web]\nready = "port:80"\n'),
    "TOML ready regex": Bad(["mika.toml:2", "regular expression"], toml='[process.web]\nready = "log:("\n'),
    "TOML grace": Bad(["mika.toml:2", "grace"], toml="[process.web]\ngrace = -1\n"),
    "TOML cwd": Bad(["mika.toml:2", "nowhere"], toml='[process.web]\ncwd = "nowhere"\n'),
    "TOML env": Bad(
        ["mika.toml:1: 'env' needs NOT_SET_ANYWHERE, which is not set", "write the value"],
        toml='[process.web]\nenv = { A = "${NOT_SET_ANYWHERE}" }\n',
    ),
    "TOML needs": Bad(["wbe"], toml='[process.web]\nneeds = ["wbe"]\n'),
    "TOML needs itself": Bad(["web", "needs"], toml='[process.web]\nneeds = ["web"]\n', args="up --timeout 2"),
    "TOML signal": Bad(["mika.toml:2", "SIGFOO"], toml='[process.web]\nstop_signal = "SIGFOO"\n'),
    "dotenv": Bad([".env:2"], dotenv="A=1\nthis is no setting\n"),
    "dotenv open quote": Bad([".env:1"], dotenv='A="open\n'),
    "dotenv UTF-8": Bad([".env:1", "UTF-8"], dotenv=b"A=\xff\n"),
    "dotenv unset reference": Bad([".env:1", "NOT_THERE"], dotenv="A=${NOT_THERE}\n"),
}
OTHER = {
    "logs grep": Bad(["--grep", "("], args="logs --grep ("),
    "logs since": Bad(["--since", "yesterday-ish"], args="logs --since yesterday-ish"),
    "logs until": Bad(["--until", "soon"], args="logs --until soon"),
    "logs level": Bad(["--level", "warnin", "warning"], args="logs --level warnin"),
    "logs lines": Bad(["-n", "many"], args="logs -n many"),
    "logs lines negative": Bad(["-n", "-5"], args="logs -n -5"),
    "send nothing": Bad(["empty"], args="send \u3000"),
    "doctor no workflow": Bad(["empty", "last"], args="doctor --workflow "),
    "doctor blank workflow": Bad(["empty", "last"], args="doctor --workflow \t"),
    "terminate no workflow": Bad(["empty", "last"], args="workflows terminate  --yes"),
}


def check(result: Result, words: Sequence[str]) -> None:
    assert result.code == 2, str(result)
    assert result.out == "", str(result)
    assert "Traceback" not in result.err, str(result)
    lines = result.err.splitlines()
    assert lines[0].startswith("mika: "), str(result)
    assert all(line.startswith("      ") for line in lines[1:]), str(result)
    for word in words:
        assert word in result.err, f"{word!r} is missing: {result}"


def make(project: Callable[..., Project], bad: Bad) -> Project:
    this = project(bad.procfile, toml=bad.toml, env=bad.env)
    if bad.dotenv:
        this.write(".env", bad.dotenv)
    return this


@pytest.mark.parametrize(
    "bad",
    [pytest.param(bad, id=name) for table in (PROCFILE, NAMES, SETTINGS, FILES, OTHER) for name, bad in table.items()],
)
def test_one_line_and_exit_2(project, bad):
    this = make(project, bad)
    check(this.mika(*bad.args.split(" "), process=False), bad.words)
    assert not (this.folder / ".mika").exists(), "nothing was started or created"


def test_a_table_without_a_process_is_said_once(project):
    this = project(GOOD, toml='[process.wbe]\nrestart = "never"\n')
    for args in (["up"], ["up", "-d"]):
        result = this.mika(*args, process=False)
        check(result, ["mika.toml:1", "there are: web"])
        assert result.err.count("'wbe'") == 1, str(result)


def test_no_procfile(project):
    this = project()
    (this.folder / "Procfile").unlink()
    check(this.mika("up", process=False), ["Procfile"])
    check(this.mika("up", "-d", process=False), ["Procfile"])
    (this.folder / "Procfile").mkdir()
    check(this.mika("up", process=False), ["Procfile"])


@pytest.mark.parametrize(("args", "code"), [("--version", 0), ("up --detahc", 2), ("status --json", 3)])
def test_the_process_exits_with_the_code(project, args, code):
    """And prints what the command prints where it runs in the process of a test, as above."""
    this = project(GOOD)
    process, here = (this.mika(*args.split(), process=of_its_own) for of_its_own in (True, False))
    assert (process.code, process.out, process.err) == (code, here.out, here.err)
    assert here.code == code


@pytest.mark.parametrize("verb", VERBS)
def test_the_folder_is_not_there(project, verb):
    this = project(GOOD)
    nowhere = str(this.folder / "nowhere")
    check(this.mika("-C", nowhere, *verb.split(), process=False), ["nowhere", "does not exist"])


def test_the_folder_is_a_file(project):
    this = project(GOOD)
    check(this.mika("-C", str(this.folder / "Procfile"), "up", process=False), ["Procfile", "not a folder"])


def test_processes_that_need_each_other(project):
    """Neither could ever start: that is known before anything is."""
    this = project(
        GOOD + GOOD.replace("web", "two"), toml='[process.web]\nneeds = ["two"]\n[process.two]\nneeds = ["web"]\n'
    )
    check(this.mika("up", "--timeout", "3", process=False), ["needs"])


def test_what_windows_editors_write_is_fine(project):
    text = "\ufeff# bot\r\n\r\nweb :\tpython web.py\r\n".replace("web :", "web:")
    this = project(text, scripts={"web": "import time\nprint('here', flush=True)\ntime.sleep(600)\n"})
    this.write("mika.toml", '\ufeff[process.web]\r\nready = "log:here"\r\n')
    this.write(".env", "\ufeffLLM_MODEL=small\r\n")
    this.up()
    assert this.unit("web")["state"] == "ready"
    an_unknown_process_of_a_running_stack_changes_nothing(this)


def an_unknown_process_of_a_running_stack_changes_nothing(this: Project) -> None:
    pid = this.pid("web")
    for verb in ("restart", "stop", "start", "wait"):
        check(this.mika(verb, "wbe"), ["'wbe'", "did you mean 'web'"])
        error = this.mika(verb, "wbe", "--json")
        assert error.code == 2
        assert "'wbe'" in error.json["error"]["message"]
        assert this.unit("web")["state"] == "ready"
    # Beside a good name it changes nothing.
    check(this.mika("restart", "web", "wbe"), ["'wbe'"])
    check(this.mika("stop", "web", "wbe"), ["'wbe'"])
    assert this.pid("web") == pid


# --- .mika ------------------------------------------------------------------------------------------------------------


def test_mika_folder_is_a_file(project):
    this = project(GOOD)
    (this.folder / ".mika").write_text("mine")
    check(this.mika("up", process=False), [".mika", "cannot be written"])
    check(this.mika("up", "-d"), [".mika", "cannot be written"])
    (this.folder / ".mika").unlink()


@posix_only
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
@pytest.mark.parametrize("which", [".mika", ".mika/run", ".mika/logs", "."])
def test_a_folder_that_cannot_be_written(project, mode, which):
    this = project(GOOD)
    if which != ".":
        (this.folder / which).mkdir(parents=True)
    elif mode == 0:
        pytest.skip("then the Procfile cannot be read either")
    folder = this.folder / which
    folder.chmod(mode)
    try:
        check(this.mika("up"), [".mika"])
        for verb in ("status", "logs", "down"):
            assert "Traceback" not in this.mika(verb).text
    finally:
        folder.chmod(0o700)


DAMAGED = [b"", b"\xff\xfe", b"[1, {}]", b'{"pid": "x"}']


def test_damaged_files_of_ours_are_no_obstacle(project):
    """Each file with two of the four contents. (`test_state.py` has all four for the one that counts most.)"""
    this = project(GOOD)
    names = ("run/state.json", "run/marks.json", "run/up.out", "data/backend", "logs/mika.log", "logs/mika.idx")
    for shift in (0, 2):
        for number, name in enumerate(names, shift):
            this.write(f".mika/{name}", DAMAGED[number % len(DAMAGED)])
        # `auto` asks what this folder used last. The port that is taken ends the command before it starts a server.
        with socket.create_server(("127.0.0.1", this.ports["TEMPORAL_PORT"])):
            result = this.mika("up", env={"MIKA_BACKEND": "auto"}, process=False)
        assert f"port {this.ports['TEMPORAL_PORT']}" in result.err, str(result)
        this.error("status", code=3)
        this.ok("logs")
        this.ok("logs", "mika")
        this.up()
        assert this.status()["state"] == "ready"
        this.ok("down")


# --- no stack ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "wait --timeout 0.2", "restart web", "stop web", "start web"])
def test_exit_3_when_no_stack_runs(project, verb):
    this = project(GOOD)
    result = this.error(*verb.split(), code=3)
    assert "no stack is running" in result.err
    assert "mika up" in result.err
    result = this.error(*verb.split(), "--json", code=3)
    assert result.json["error"]["code"] == "not_running"
    assert not (this.folder / ".mika").exists()


@pytest.mark.parametrize(
    "args",
    ["up --json", "up -d --json", "status --json", "config --json", "send hi --json", "wait --timeout 0.2 --json"],
)
def test_json_errors_have_one_shape(project, args):
    this = project("", env={"API_PORT": "x"})
    result = this.mika(*args.split(), process=False)
    assert result.code in (2, 3), str(result)
    assert result.err == ""
    assert result.json.keys() == {"version", "error"}
    assert result.json["version"] == 1
    assert result.json["error"].keys() == {"code", "message", "hint"}
    assert all(isinstance(text, str) for text in result.json["error"].values())


def test_click_errors_are_json_too(project):
    result = project(GOOD).mika("status", "--json", "--nonsense")
    assert result.code == 2
    assert result.json["error"]["code"] == "usage"


def test_send_without_a_stack(project):
    result = project(GOOD).error("send", "hi", code=3)
    assert "no stack is running" in result.err
    assert "mika up" in result.err
    result = project(GOOD, name="other").error("send", "hi", "--json", code=3)
    assert result.json["error"]["code"] == "not_running"


@posix_only
def test_send_to_a_program_that_is_no_api(project):
    """Something listens: that no stack runs is not what is wrong."""
    this = project(GOOD)
    with socket.create_server(("127.0.0.1", this.ports["API_PORT"])) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        result = this.error("send", "hi", code=1)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert "mika doctor" in result.err
    assert "no stack is running" not in result.err


def test_send_does_not_wait_for_an_api_that_listens_elsewhere(project):
    with free_port() as port:
        toml = f'[process.api]\nready = "tcp:{port}"\nenv = {{ WEB_PORT = "{port}" }}\n'
        this = project(scripts={"api": SERVER}, toml=toml)
        this.up()
        result = this.error("send", "hi", "--timeout", "20", code=1)
    assert "the running stack has none at http://127.0.0.1:" in result.err
    assert "set API_HOST and API_PORT to where it is" in result.err


def test_a_program_that_vanishes_after_the_start_gives_up_with_its_name(project):
    """Checked before the start, and again at each: two tries, not eight."""
    this = project("web: ./tool\nclock: " + GOOD.removeprefix("web: "))
    tool = this.write("tool", f"#!{sys.executable}\nimport time\nprint('here', flush=True)\ntime.sleep(600)\n")
    if os.name == "nt":
        pytest.skip("no shebang on Windows")
    tool.chmod(0o755)
    this.up()
    poll_until(lambda: "here" in this.log("web"), DEADLINE, "Python has read it")
    tool.unlink()
    result = this.error("restart", "web", code=1, timeout=30)
    assert "web gave up" in result.err
    assert "tool" in result.err
    entry = this.unit("web")
    assert entry["state"] == "gave_up"
    assert len(this.events("exited", "web")) == 3  # the good run, and twice the failure to start
    poll_until(lambda: this.status()["state"] == "degraded", DEADLINE, "degraded")


def test_the_development_server_at_an_ipv6_address(project):
    this = project(scripts={"web": SLEEP}, backend="embedded", env={"TEMPORAL_HOST": "::1"})
    refused = this.error("up", "-d", code=2)
    assert "TEMPORAL_HOST is ::1, and Temporal's development server works only at an IPv4 address" in refused.err
