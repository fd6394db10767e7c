"""`mika.toml` and `pyproject.toml`: what is wrong is named with its line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from mika.config.process_options import Need, ProcessOptions, Ready, _patterns, parse_ready
from mika.errors import UsageError

from tests.kit.config import failure, load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n\nbakend = 1", "mika.toml:4: unknown key 'bakend'; did you mean 'backend'?"),
        ("proces = 1", "mika.toml:1: unknown key 'proces'; did you mean 'process'?"),
        ("zzz = 1", "mika.toml:1: unknown key 'zzz'"),
        ("[proces.w]\ncount = 1", "mika.toml:1: unknown key 'proces'; did you mean 'process'?"),
        ("api_port = '8000'", "mika.toml:1: api_port is a string; give a whole number from 1 to 65535"),
        ("api_port = true", "mika.toml:1: api_port is a boolean; give a whole number"),
        ("api_port = 8000.0", "mika.toml:1: api_port is a number; give a whole number"),
        ("api_port = 0", "mika.toml:1: api_port is '0', which is out of range"),
        ("timeout = nan", "mika.toml:1: timeout is 'nan', which is not a number"),
        ("timeout = -inf", "mika.toml:1: timeout is '-inf', which is not a number"),
        ("timeout = [1]", "mika.toml:1: timeout is a list; give"),
        ("backend = 2020-01-01", "mika.toml:1: backend is a date or time; give one of auto"),
        ("a = 1\nb =\n", "mika.toml:2:4: not valid TOML: invalid value; correct that line"),
        ("a = 1\na = 2", "mika.toml:2: not valid TOML: cannot overwrite a value"),
        ('a = "x', "mika.toml:1: not valid TOML: unterminated string"),
        ("process = 1", "mika.toml:1: 'process' must be tables"),
        ("[process]\nworker = 1", "mika.toml:2: 'worker' must be a table"),
        ("[process.w]\nrestrat = 'x'", "mika.toml:2: unknown key 'restrat' in [process.w]; did you mean 'restart'?"),
        (
            "[process.w]\nrestart = 'alway'",
            "mika.toml:2: 'restart' is 'alway'; did you mean 'always'?; give one of always",
        ),
        ("[process.w]\nrestart = true", "mika.toml:2: 'restart' must be a string, not a boolean"),
        ("[process.w]\ngrace = 'x'", "mika.toml:2: 'grace' must be a number of seconds, not a string"),
        ("[process.w]\ngrace = 0", "mika.toml:2: 'grace' is 0; give"),
        ("[process.w]\ngrace = nan", "mika.toml:2: 'grace' is nan; give"),
        ("[process.w]\ncount = 65", "mika.toml:2: 'count' is 65; give a whole number from 0 to 64"),
        ("[process.w]\ncount = 1.5", "mika.toml:2: 'count' must be a whole number, not a number"),
        ("[process.w]\ncount = true", "mika.toml:2: 'count' must be a whole number, not a boolean"),
        ("[process.w]\nstop_signal = 'SIGKILL'", "mika.toml:2: 'stop_signal' is 'SIGKILL'"),
        ("[process.w]\nenv = 'A=1'", "mika.toml:2: 'env' must be a table, not a string"),
        ("[process.w]\nenv = { A = 1 }", "mika.toml:2: 'env' contains A, which must be a string, not a whole number"),
        ("[process.w.env]\nA = 1", "mika.toml:1: 'env' contains A, which must be a string"),
        ("[process.w]\nenv = { 'A=B' = '1' }", "mika.toml:2: 'env' contains 'A=B'"),
        ("[process.w]\ncwd = 'nope'", "mika.toml:2: 'cwd' is 'nope', a folder that does not exist in "),
        ("[process.w]\ncwd = 1", "mika.toml:2: 'cwd' must be a string"),
        ("[process.w]\nneeds = 'temporal'", "mika.toml:2: 'needs' must be a list of names"),
        ("[process.w]\nready = ''", "mika.toml:2: 'ready' is empty"),
        (
            "[process.w]\nready = 'port:80'",
            "mika.toml:2: 'ready' is 'port:80', which has an unknown form; give worker:QUEUE",
        ),
        ("[process.w]\nready = 'tcp:0'", "mika.toml:2: 'ready' is 'tcp:0', which is out of range"),
        ("[process.w]\nready = []", "mika.toml:2: 'ready' must have a `worker:QUEUE` for each queue"),
        (
            "[process.w]\nready = ['worker:a', 'tcp:1']",
            "mika.toml:2: 'ready' must have a `worker:QUEUE` for each queue",
        ),
        (
            "[process.w]\nready = ['worker:a', 'worker:']",
            "mika.toml:2: 'ready' is 'worker:a, worker:', which has nothing",
        ),
        ("[process.w]\nready = 'worker'", "mika.toml:2: 'ready' is 'worker', which has nothing after 'worker:'"),
        ("[process.w]\nready = 'worker:'", "mika.toml:2: 'ready' is 'worker:', which has nothing after 'worker:'"),
        ("[process.w]\nready = 'log:('", "mika.toml:2: 'ready' is 'log:(', which is not a regular expression"),
        ("[process.w]\nready = 'http://h/ 99'", "mika.toml:2: 'ready' is 'http://h/ 99', which has '99' for a status"),
        ("[process.w]\nready = 'exec:'", "mika.toml:2: 'ready' is 'exec:', which has nothing after 'exec:'"),
        ("[process.w]\nneeds = ['a:done']", "mika.toml:2: 'needs' contains 'a:done'; after the colon, give one of"),
        (
            "[process.w]\nneeds = ['a:complete']",
            "mika.toml:2: 'needs' contains 'a:complete'; did you mean 'completed'?",
        ),
        ("[process.w]\nends = true\nrestart = 'always'", "mika.toml:1: 'ends' is for a process that runs once"),
        ("[process.w]\nstdin = 'tty'", "mika.toml:2: 'stdin' is 'tty'; give one of closed, open"),
        ("[process.w]\nready_timeout = -1", "mika.toml:2: 'ready_timeout' is -1; give a number of seconds from 0"),
        ("[process.w]\nhang_timeout = 'x'", "mika.toml:2: 'hang_timeout' must be a number of seconds, not a string"),
        ("[process.w]\nmax_restarts = 65", "mika.toml:2: 'max_restarts' is 65; give a whole number from 0 to 64"),
        ("[process.w]\nready = 'http://'", "mika.toml:2: 'ready' is 'http://', which is not a web address"),
    ],
)
def test_bad_toml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mika.toml").write_text(text)
    assert failure(tmp_path).startswith(message)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bot_names = 'a'", "this is not a setting of mika; a variable that your program reads belongs in .env"),
        ("[tool.mika]\nbackend = 'none'", "in mika.toml, the keys of [tool.mika] are at the top level"),
        ("bakend = 1", ""),
    ],
)
def test_a_key_in_the_wrong_place(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "mika.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        load(tmp_path)
    assert refused.value.hint.startswith(hint)
    assert bool(refused.value.hint) == bool(hint)


def test_pyproject_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\ntimeout = 'x'\n[tool.mika]\n\ntimeout = 'x'\n")
    assert failure(tmp_path).startswith("pyproject.toml:5: timeout is a string")
    (tmp_path / "pyproject.toml").write_text("[tool]\nmika = 1\n")
    assert failure(tmp_path).startswith("pyproject.toml:2: 'mika' must be a table; write [tool.mika]")
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert failure(tmp_path).startswith("pyproject.toml:1:9: not valid TOML")
    (tmp_path / "pyproject.toml").write_bytes(b"# ok\n# \xff\n")
    assert failure(tmp_path).startswith("pyproject.toml:2: byte 0xff is not valid UTF-8")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(tmp_path).settings["MIKA_TIMEOUT"].origin == "default"
    (tmp_path / "mika.toml").mkdir()
    assert failure(tmp_path).startswith("mika.toml: cannot be read")


def test_process_tables(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mika.process.worker]\ngrace = 3\ncount = 2\n[tool.mika.process.old]\nready = 'none'\n"
    )
    (tmp_path / "mika.toml").write_text(
        'backend = "none"\n\n[process.worker]\nrestart = "on-failure"\nready = "worker:q"\ncount = 3\n'
        'stop_signal = "SIGTERM"\nenv = { A = "1" }\ncwd = "sub"\nneeds = ["temporal", "migrate:completed"]\n'
    )
    found = load(tmp_path)
    assert found.process("worker") == ProcessOptions(
        "on-failure", "worker:q", 3.0, "SIGTERM", 3, {"A": "1"}, "sub", (Need("temporal"), Need("migrate", "completed"))
    )
    assert found.process("worker.3") is found.process("worker")
    assert found.process_tables == {"worker": "mika.toml:3", "old": "pyproject.toml:4"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.process("worker").count = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("worker:a:b", Ready("worker", "a:b")),
        ("https://h/x", Ready("http", "https://h/x")),
        ("tcp:80", Ready("tcp", "80")),
        (r"log:^ready: \d+$", Ready("log", r"^ready: \d+$")),
        ("none", Ready("none", "")),
        ("exec: python check.py --all ", Ready("exec", "python check.py --all")),
        ("http://h:1/x 404", Ready("http", "http://h:1/x", "404")),
        ("http://h:1/x  3xx", Ready("http", "http://h:1/x", "3xx")),
        ("http://h:1/x any", Ready("http", "http://h:1/x", "any")),
    ],
)
def test_ready_forms(text: str, ready: Ready) -> None:
    assert parse_ready(text) == ready


def test_a_worker_with_several_queues(tmp_path: Path) -> None:
    (tmp_path / "mika.toml").write_text(
        '[process.w]\nready = ["worker:$TEMPORAL_TASK_QUEUE", "worker:b, c/activity"]\n'
    )
    rule = load(tmp_path, environ={"TEMPORAL_TASK_QUEUE": "a"}).ready_rule("w")
    assert [(one.queue, one.task_type) for one in (rule, *rule.others)] == [("a", ""), ("b, c", "activity")]


def test_a_process_that_ends_the_stack_runs_once(tmp_path: Path) -> None:
    (tmp_path / "mika.toml").write_text("[process.tests]\nends = true\n")
    assert load(tmp_path).process("tests") == ProcessOptions(restart="never", ends=True)


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")])
def test_an_api_on_all_interfaces_is_asked_at_loopback_where_send_and_doctor_look_for_it(
    tmp_path: Path, host: str, asked: str
) -> None:
    (tmp_path / "mika.toml").write_text('[process.api]\nready = "http://$API_HOST:$API_PORT/healthz"\n')
    found = load(tmp_path, environ={"API_HOST": host})
    assert found.ready_rule("api").target == f"http://{asked}:8000/healthz" == f"{found.api_url}/healthz"


@pytest.mark.parametrize("cwd", [r'"C:\Users\me"', r'"C:\temp\app"', r'"sub\new"'])
def test_a_path_of_windows_in_double_quotes(tmp_path: Path, cwd: str) -> None:
    """TOML takes its backslashes for escapes: some are an error, and `\\n` is a line break in the path."""
    (tmp_path / "mika.toml").write_text(f"[process.web]\ncwd = {cwd}\n", encoding="utf-8")
    told = failure(tmp_path)
    assert told.startswith("mika.toml:2:")
    assert r"a \ in double quotes begins an escape; write" in told
    assert told.endswith("in single quotes, or with /")


def test_patterns_have_slashes_on_windows_too() -> None:
    assert _patterns([r"src\*.py"], "linux") == (r"src\*.py",)
    with pytest.raises(ValueError, match="fits no file; write / instead of"):
        _patterns(["x", r"src\*.py"], "win32")
