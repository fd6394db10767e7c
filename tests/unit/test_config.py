from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher import config
from launcher.errors import UsageError
from launcher.process_options import ProcessOptions, Ready, parse_ready
from launcher.settings import MASK, VARIABLES, mask

if TYPE_CHECKING:
    from collections.abc import Callable


def load(folder: Path, environ: dict[str, str] | None = None, **overrides: str | None) -> config.Config:
    return config.load(folder, overrides, environ or {})


def failure(folder: Path, environ: dict[str, str] | None = None, **overrides: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder, environ, **overrides)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


def origins(found: config.Config, *names: str) -> list[tuple[object, str]]:
    return [(found.settings[name].value, found.settings[name].origin) for name in names]


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert {name: setting.value for name, setting in found.settings.items()} == {
        "MIKA_BACKEND": "auto",
        "MIKA_TIMEOUT": 120,
        "MIKA_HANG_TIMEOUT": 5,
        "MIKA_LOG_MAX_MB": 64,
        "TEMPORAL_HOST": "127.0.0.1",
        "TEMPORAL_PORT": 7233,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_UI_PORT": 8088,
        "TEMPORAL_TASK_QUEUE": "mika-bot-task-queue",
        "API_HOST": "127.0.0.1",
        "API_PORT": 8000,
        "WORKFLOW_EXECUTION_TIMEOUT": 120,
        "WORKFLOW_RUN_TIMEOUT": 60,
        "WORKFLOW_TASK_TIMEOUT": 30,
        "MONGODB_URL": None,
        "MONGODB_DATABASE": "mika_bot",
        "LLM_BASE_URL": None,
        "LLM_API_KEY": None,
        "LLM_MODEL": None,
        "LANGBOT_API_BASE_URL": None,
        "LANGBOT_API_KEY": None,
        "WEBHOOK_SECRET": None,
    }
    assert {setting.origin for setting in found.settings.values()} == {"default"}
    assert found.process("worker.2") == ProcessOptions()


def test_each_default_is_a_value_that_may_be_given(tmp_path: Path) -> None:
    given = {v.name: str(v.default) for v in VARIABLES if v.default is not None}
    found = load(tmp_path, given)
    assert {name: found.value(name) for name in given} == {
        v.name: v.default for v in VARIABLES if v.default is not None
    }


def test_later_wins_and_says_where(tmp_path: Path) -> None:
    names = ["TEMPORAL_PORT", "API_PORT", "TEMPORAL_UI_PORT", "TEMPORAL_HOST", "MIKA_BACKEND", "MIKA_TIMEOUT"]
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.mika]\ntemporal_port = 1001\napi_port = 1002\ntemporal_ui_port = 1003\n'
        'temporal_host = "a"\nbackend = "docker"\ntimeout = 1\n'
    )
    found = load(tmp_path)
    assert origins(found, *names)[:2] == [(1001, "pyproject.toml:5"), (1002, "pyproject.toml:6")]
    (tmp_path / "mika.toml").write_text(
        '# x\napi_port = 2002\ntemporal_ui_port = 2003\ntemporal_host = "b"\nbackend="embedded"\n"timeout" = 2.5\n'
    )
    (tmp_path / ".env").write_text(
        "\n\nTEMPORAL_UI_PORT=3003\nTEMPORAL_HOST=c\nMIKA_BACKEND=external\nMIKA_TIMEOUT=3\n"
    )
    environ = {"TEMPORAL_HOST": "d", "MIKA_BACKEND": "none", "MIKA_TIMEOUT": "4"}
    found = load(tmp_path, environ, MIKA_TIMEOUT="5", MIKA_BACKEND=None)
    assert origins(found, *names) == [
        (1001, "pyproject.toml:5"),
        (2002, "mika.toml:2"),
        (3003, ".env:3"),
        ("d", "environment"),
        ("none", "environment"),
        (5.0, "--timeout"),
    ]
    assert origins(load(tmp_path), "MIKA_TIMEOUT", "MIKA_BACKEND") == [(3.0, ".env:6"), ("external", ".env:5")]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("API_PORT", "0", "API_PORT is '0', which is out of range; give a whole number from 1 to 65535"),
        ("API_PORT", "65536", "API_PORT is '65536', which is out of range"),
        ("API_PORT", "-1", "API_PORT is '-1', which is out of range"),
        ("API_PORT", "http", "API_PORT is 'http', which is not a port number"),
        ("API_PORT", "80.5", "API_PORT is '80.5', which is not a port number"),
        ("API_PORT", "8_0", "API_PORT is '8_0', which is not a port number"),
        ("API_PORT", "٨٠", "API_PORT is '٨٠', which is not a port number"),
        ("API_PORT", "9" * 9999, "API_PORT is '999"),
        ("API_PORT", "", "API_PORT is empty; give a whole number"),
        ("MIKA_TIMEOUT", "0", "MIKA_TIMEOUT is '0', which is too small; give a number of seconds greater than 0"),
        ("MIKA_TIMEOUT", "-3", "MIKA_TIMEOUT is '-3', which is too small"),
        ("MIKA_TIMEOUT", "nan", "MIKA_TIMEOUT is 'nan', which is not a number"),
        ("MIKA_TIMEOUT", "inf", "MIKA_TIMEOUT is 'inf', which is not a number"),
        ("MIKA_TIMEOUT", "soon", "MIKA_TIMEOUT is 'soon', which is not a number"),
        ("MIKA_TIMEOUT", "1e999", "MIKA_TIMEOUT is '1e999', which is too large"),
        ("MIKA_TIMEOUT", "60s", "MIKA_TIMEOUT is '60s', which is not a number"),
        ("MIKA_HANG_TIMEOUT", "-1", "MIKA_HANG_TIMEOUT is '-1', which is too small"),
        ("MIKA_LOG_MAX_MB", "0", "MIKA_LOG_MAX_MB is '0', which is too small"),
        ("WORKFLOW_TASK_TIMEOUT", "121", "WORKFLOW_TASK_TIMEOUT is '121', which is too large (at most 120)"),
        (
            "WORKFLOW_RUN_TIMEOUT",
            "121",
            "WORKFLOW_RUN_TIMEOUT is 121 s, longer than WORKFLOW_EXECUTION_TIMEOUT (120 s)",
        ),
        (
            "WORKFLOW_EXECUTION_TIMEOUT",
            "50",
            "WORKFLOW_RUN_TIMEOUT is 60 s, longer than WORKFLOW_EXECUTION_TIMEOUT (50",
        ),
        ("MIKA_BACKEND", "dokcer", "MIKA_BACKEND is 'dokcer', which is no backend (did you mean 'docker'?)"),
        ("MIKA_BACKEND", "k8s", "MIKA_BACKEND is 'k8s', which is no backend; give one of auto, docker,"),
        ("API_HOST", "http://x", "API_HOST is 'http://x', which is a URL or a path"),
        ("API_HOST", "a b", "API_HOST is 'a b', which is no host name"),
        ("API_HOST", "localhost:8000", "API_HOST is 'localhost:8000', which has a port in it"),
        ("TEMPORAL_HOST", " ", "TEMPORAL_HOST is empty"),
        ("TEMPORAL_NAMESPACE", "a\nb", "TEMPORAL_NAMESPACE is 'a\\x0ab', which has a line break"),
        ("API_PORT", "7233", "API_PORT and TEMPORAL_PORT are both 7233"),
        ("LLM_BASE_URL", "api.example.com", "LLM_BASE_URL is 'api.example.com', which is not a web address"),
        ("LLM_BASE_URL", "http://", "LLM_BASE_URL is 'http://', which is not a web address"),
        ("LLM_BASE_URL", "http://a:99999", "LLM_BASE_URL is 'http://a:99999', which is not a web address"),
        ("LLM_BASE_URL", "http://[x", "LLM_BASE_URL is 'http://[x', which is not a web address"),
        ("MONGODB_URL", "http://u:pw@h", f"MONGODB_URL is 'http://u:{MASK}@h', which is no MongoDB address"),
        ("MONGODB_URL", "mongodb://", "MONGODB_URL is 'mongodb://', which is no MongoDB address"),
        ("MONGODB_DATABASE", "a/b", "MONGODB_DATABASE is 'a/b', which is no database name"),
        ("LLM_API_KEY", "填入 sk", "LLM_API_KEY has a value that has a space"),
    ],
)
def test_bad_values(tmp_path: Path, name: str, raw: str, message: str) -> None:
    assert failure(tmp_path, {name: raw}).startswith(f"environment: {message}")
    if "\n" not in raw:
        (tmp_path / ".env").write_text(f"# x\n{name}={raw}\n", encoding="utf-8")
        assert failure(tmp_path).startswith(".env:2: ")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("API_PORT", " 65535 ", 65535),
        ("MIKA_HANG_TIMEOUT", "0", 0.0),
        ("MIKA_TIMEOUT", ".5", 0.5),
        ("MIKA_TIMEOUT", "1e3", 1000.0),
        ("WORKFLOW_TASK_TIMEOUT", "120", 120.0),
        ("API_HOST", "::1", "::1"),
        ("API_HOST", "my_service.local", "my_service.local"),
        ("MONGODB_URL", "mongodb://a:1,b:2/db?replicaSet=x", "mongodb://a:1,b:2/db?replicaSet=x"),
        ("MONGODB_URL", "mongodb+srv://u:p@h", "mongodb+srv://u:p@h"),
        ("LLM_BASE_URL", "http://[::1]:80/v1", "http://[::1]:80/v1"),
        ("LLM_API_KEY", "", None),
    ],
)
def test_good_values(tmp_path: Path, name: str, raw: str, value: object) -> None:
    assert load(tmp_path, {name: raw}).value(name) == value


def test_ports_may_be_equal_where_they_do_not_meet(tmp_path: Path) -> None:
    assert load(tmp_path, {"API_PORT": "7233", "MIKA_BACKEND": "none"}).port("API_PORT") == 7233
    assert load(tmp_path, {"API_PORT": "7233", "TEMPORAL_HOST": "10.0.0.1"}).port("TEMPORAL_PORT") == 7233


def test_an_option_is_named(tmp_path: Path) -> None:
    assert failure(tmp_path, MIKA_TIMEOUT="x").startswith("--timeout: the option is 'x', which is not a number; give")
    assert failure(tmp_path, MIKA_BACKEND="x").startswith("--backend: the option is 'x', which is no backend")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n\nbakend = 1", "mika.toml:4: unknown key 'bakend'; did you mean 'backend'?"),
        ("proces = 1", "mika.toml:1: unknown key 'proces'; did you mean 'process'?"),
        ("zzz = 1", "mika.toml:1: unknown key 'zzz'"),
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
        ("[process.w]\nenv = { A = 1 }", "mika.toml:2: 'env' has A, which must be a string, not a whole number"),
        ("[process.w.env]\nA = 1", "mika.toml:1: 'env' has A, which must be a string"),
        ("[process.w]\nenv = { 'A=B' = '1' }", "mika.toml:2: 'env' has 'A=B' in it"),
        ("[process.w]\ncwd = 'nope'", "mika.toml:2: 'cwd' is 'nope', a folder that does not exist in "),
        ("[process.w]\ncwd = 1", "mika.toml:2: 'cwd' must be a string"),
        ("[process.w]\nneeds = 'temporal'", "mika.toml:2: 'needs' must be a list of names"),
        ("[process.w]\nready = ''", "mika.toml:2: 'ready' is empty"),
        (
            "[process.w]\nready = 'port:80'",
            "mika.toml:2: 'ready' is 'port:80', which has an unknown form; give worker:QUEUE",
        ),
        ("[process.w]\nready = 'tcp:0'", "mika.toml:2: 'ready' is 'tcp:0', which is out of range"),
        ("[process.w]\nready = 'worker:'", "mika.toml:2: 'ready' is 'worker:', which has nothing after 'worker:'"),
        ("[process.w]\nready = 'log:('", "mika.toml:2: 'ready' is 'log:(', which is no regular expression"),
        ("[process.w]\nready = 'http://'", "mika.toml:2: 'ready' is 'http://', which is not a web address"),
    ],
)
def test_bad_toml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mika.toml").write_text(text)
    assert failure(tmp_path).startswith(message)


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
        'stop_signal = "SIGTERM"\nenv = { A = "1" }\ncwd = "sub"\nneeds = ["temporal"]\n'
    )
    found = load(tmp_path)
    assert found.process("worker") == ProcessOptions(
        "on-failure", "worker:q", 3.0, "SIGTERM", 3, {"A": "1"}, "sub", ("temporal",)
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
    ],
)
def test_ready_forms(text: str, ready: Ready) -> None:
    assert parse_ready(text) == ready


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("PW=abc#def\n", {"PW": "abc#def"}),
        ("P=C:\\Users\\new\r\nQ=2\r\n", {"P": "C:\\Users\\new", "Q": "2"}),
        ('export J={"a": 1}\nE=\n', {"J": '{"a": 1}', "E": ""}),
        ("\ufeffA=x y # c\n# c\n\nN=Bob's\n", {"A": "x y", "N": "Bob's"}),
        ("M=\"a\nb\"\nD=${M}!${H}${Z:-z}\nS='${M}$'\n", {"M": "a\nb", "D": "a\nb!home-z", "S": "${M}$"}),
    ],
)
def test_dotenv_values(tmp_path: Path, text: str, values: dict[str, str]) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    found = load(tmp_path, {"H": "home-"})
    assert found.dotenv == values
    assert {name: setting.value for name, setting in found.extras.items()} == values


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"A=1\n\n\nnot a line\n", ".env:4: is no NAME=value line"),
        (b"A=1\nB='x\n", ".env:2: is no NAME=value line"),
        (b'A=1\nB="x"y\n', ".env:2: is no NAME=value line"),
        (b"=1\n", ".env:1: is no NAME=value line"),
        (b"A=1\r\nFOO\r\n", ".env:2: 'FOO' has no value; write FOO=value"),
        (b"A=1\nB=${NOPE}\n", ".env:2: ${NOPE} is not set"),
        (b"A=1\nB=x\0y\n", ".env:2: has a NUL character"),
        (b"A=1\n\nB=\xff\n", ".env:3: byte 0xff is not valid UTF-8"),
    ],
)
def test_dotenv_broken_lines(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / ".env").write_bytes(data)
    assert failure(tmp_path).startswith(message)


def test_a_virtual_environment_called_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load(tmp_path).dotenv == {}


def test_missing_folder(tmp_path: Path) -> None:
    assert (
        failure(tmp_path / "nope") == f"-C: {tmp_path / 'nope'} does not exist; give the folder that has the Procfile"
    )
    (tmp_path / "file").touch()
    assert " is not a folder; " in failure(tmp_path / "file")


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "LLM_API_KEY=s3cret\nMONGODB_URL=mongodb://bob:s3cret@h/db\nGITHUB_TOKEN=s3cret\nDB_PASSWORD=s3cret\nmy_key=s3cret\n"
        "REDIS_URL=redis://:s3cret@h\nWEBHOOK_SECRET=s3cret\nLLM_BASE_URL=https://u:s3cret@h/v1?api_key=s3cret\nPLAIN=seen\n"
    )
    found = load(tmp_path, {"LANGBOT_API_KEY": "s3cret"})
    everything = [*found.settings.values(), *found.extras.values()]
    assert "s3cret" not in repr([(one, one.shown, one.origin) for one in everything])
    secrets = {one.name for one in everything if one.secret}
    assert secrets == {*found.extras, *found.settings} & secrets
    assert {
        "LLM_API_KEY",
        "LANGBOT_API_KEY",
        "MONGODB_URL",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "my_key",
        "REDIS_URL",
    } <= secrets
    assert found.settings["MONGODB_URL"].shown == f"mongodb://bob:{MASK}@h/db"
    assert found.extras["PLAIN"].shown == "seen"
    assert not found.settings["API_PORT"].secret
    assert "s3cret" not in repr(found.settings)


@pytest.mark.parametrize(
    "url", ["mongodb://u:p@ss/word@h/d", "mongodb://u:pass@word@h", "mongodb://h/?tlsCertificateKeyFilePassword=word"]
)
def test_masked_urls(url: str) -> None:
    assert "word" not in mask("X", url).replace("Password", "")


def test_child_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=dotenv\nBOTH=dotenv\nAPI_PORT=9000\nMONGODB_URL=mongodb://h\n")
    base = {"BOTH": "environ", "PATH": "/x", "MONGODB_URL": "", "TEMPORAL_PORT": " 7000 "}
    env = config.load(tmp_path, {"MIKA_TIMEOUT": "7.5"}, base).child_env(base)
    assert (env["MINE"], env["BOTH"], env["API_PORT"], env["TEMPORAL_PORT"]) == ("dotenv", "environ", "9000", "7000")
    assert (env["WORKFLOW_RUN_TIMEOUT"], env["MIKA_TIMEOUT"], env["MIKA_HANG_TIMEOUT"]) == ("60", "7.5", "5")
    assert (env["PYTHONUNBUFFERED"], env["PYTHONUTF8"]) == ("1", "1")
    assert not {"MONGODB_URL", "LLM_API_KEY", "WEBHOOK_SECRET"} & env.keys()
    assert all(isinstance(value, str) for value in env.values())


def isolated(prefix: Path, mark: str) -> Path:
    prefix.mkdir()
    (prefix / mark).touch()
    return prefix


@pytest.mark.parametrize(
    ("has_venv", "activated", "prefix", "expected"),
    [
        (True, False, lambda _: Path(sys.base_prefix), lambda project, _: project / ".venv"),
        (True, True, lambda _: Path(sys.base_prefix), lambda *_: None),
        (False, False, lambda _: Path(sys.base_prefix), lambda *_: None),
        (False, False, lambda tmp: tmp / "own", lambda _, prefix: prefix),
        (True, True, lambda tmp: tmp / "own", lambda _, prefix: prefix),
        (False, False, lambda tmp: isolated(tmp / "uv", "uv-receipt.toml"), lambda *_: None),
        (False, False, lambda tmp: isolated(tmp / "pipx", "pipx_metadata.json"), lambda *_: None),
    ],
    ids=["project-venv", "activated", "system", "own-venv", "activated-own", "uv-tool", "pipx"],
)
def test_python_means_the_projects(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_venv: bool,
    activated: bool,
    prefix: Callable[[Path], Path],
    expected: Callable[[Path, Path], Path | None],
) -> None:
    scripts = "Scripts" if os.name == "nt" else "bin"
    project = tmp_path.resolve() / "project"
    (project / ".venv" / scripts if has_venv else project).mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(prefix(tmp_path)))
    base = {"PATH": "usual"} | ({"VIRTUAL_ENV": "/elsewhere"} if activated else {})
    path = load(project, base).child_env(base)["PATH"]
    first = expected(project, Path(sys.prefix))
    assert path == (f"{first / scripts}{os.pathsep}usual" if first else "usual")


def test_light_imports() -> None:
    """`mika status` reads the configuration each time."""
    import subprocess

    code = "import sys, launcher.config, launcher.procfile, launcher.command; print(*sys.modules)"
    root = Path(config.__file__).parent.parent
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"dotenv", "honcho", "pydantic", "asyncio", "difflib"} & set(output.stdout.split())
