"""Settings: their defaults, which source wins, and what is no value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mika.config import load as config
from mika.config.cluster import LOGIN
from mika.config.process_options import ProcessOptions
from mika.config.settings import MASK, VARIABLES

from tests.kit.config import failure, load


def origins(found: config.Config, *names: str) -> list[tuple[object, str]]:
    return [(found.settings[name].value, found.settings[name].origin) for name in names]


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert {name: setting.value for name, setting in found.settings.items()} == {
        "MIKA_BACKEND": "auto",
        "MIKA_TIMEOUT": 120,
        "MIKA_HANG_TIMEOUT": 5,
        "MIKA_CHECK": "true",
        "MIKA_LOG_MAX_MB": 64,
        "TEMPORAL_HOST": "127.0.0.1",
        "TEMPORAL_PORT": 7233,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_UI_PORT": 8088,
        "TEMPORAL_RETENTION": 3,
        "TEMPORAL_TASK_QUEUE": "mika-bot-task-queue",
        **dict.fromkeys(LOGIN),
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
        ("MIKA_BACKEND", "dokcer", "MIKA_BACKEND is 'dokcer', which is not a backend (did you mean 'docker'?)"),
        ("MIKA_BACKEND", "k8s", "MIKA_BACKEND is 'k8s', which is not a backend; give one of auto, docker,"),
        ("API_HOST", "http://x", "API_HOST is 'http://x', which is a URL or a path"),
        ("API_HOST", "a b", "API_HOST is 'a b', which is not a host name"),
        ("API_HOST", "localhost:8000", "API_HOST is 'localhost:8000', which contains a port"),
        ("TEMPORAL_HOST", " ", "TEMPORAL_HOST is empty"),
        ("TEMPORAL_NAMESPACE", "a\nb", "TEMPORAL_NAMESPACE is 'a\\x0ab', which contains a line break"),
        ("API_PORT", "7233", "API_PORT and TEMPORAL_PORT are both 7233"),
        ("LLM_BASE_URL", "api.example.com", "LLM_BASE_URL is 'api.example.com', which is not a web address"),
        ("LLM_BASE_URL", "http://", "LLM_BASE_URL is 'http://', which is not a web address"),
        ("LLM_BASE_URL", "http://a:99999", "LLM_BASE_URL is 'http://a:99999', which is not a web address"),
        ("LLM_BASE_URL", "http://[x", "LLM_BASE_URL is 'http://[x', which is not a web address"),
        ("MONGODB_URL", "http://u:pw@h", f"MONGODB_URL is 'http://u:{MASK}@h', which is not a MongoDB address"),
        ("MONGODB_URL", "mongodb://", "MONGODB_URL is 'mongodb://', which is not a MongoDB address"),
        ("MONGODB_DATABASE", "a/b", "MONGODB_DATABASE is 'a/b', which is not a database name"),
        ("LLM_API_KEY", "填入 sk", "LLM_API_KEY has a value that contains a space"),
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
    assert failure(tmp_path, MIKA_BACKEND="x").startswith("--backend: the option is 'x', which is not a backend")


def test_missing_folder(tmp_path: Path) -> None:
    missing = tmp_path / "nope"
    assert failure(missing) == f"-C: {missing} does not exist; give the folder that contains the Procfile"
    (tmp_path / "file").touch()
    assert " is not a folder; " in failure(tmp_path / "file")


def test_light_imports() -> None:
    """`mika status` reads the configuration each time."""
    code = "import sys, mika.config.load, mika.procfile.entries, mika.procfile.command; print(*sys.modules)"
    root = Path(config.__file__).parent.parent
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"dotenv", "honcho", "pydantic", "asyncio", "difflib"} & set(output.stdout.split())


def test_a_running_stack_was_started_with_other_addresses(tmp_path):
    """What its file says may be damaged."""
    found = config.load(tmp_path, environ={"API_PORT": "9000"})
    given = {"API_PORT": "8001", "TEMPORAL_PORT": "seven", "TEMPORAL_NAMESPACE": "default", "LLM_API_KEY": "no"}
    started = found.as_started(given)
    assert started.port("API_PORT") == 8001
    assert started.settings["API_PORT"].origin == "the running stack"
    assert {name: setting.shown for name, setting in started.outdated.items()} == {"API_PORT": "9000"}
    assert found.as_started(found.addresses()).outdated == {}
