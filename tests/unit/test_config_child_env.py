"""`.env`, what the processes get of it all, and what of it is a secret."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from mika.cli.config_ import config_command
from mika.cli.context import Context
from mika.config import load as config
from mika.config.environment import find_environment, without_twins
from mika.config.settings import MASK, mask

from tests.kit.config import failure, load


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
        (b"A=1\n\n\nnot a line\n", ".env:4: is not a NAME=value line"),
        (b"A=1\nB='x\n", ".env:2: is not a NAME=value line"),
        (b'A=1\nB="x"y\n', ".env:2: is not a NAME=value line"),
        (b"=1\n", ".env:1: is not a NAME=value line"),
        (b"A=1\r\nFOO\r\n", ".env:2: 'FOO' has no value; write FOO=value"),
        (b"A=1\nB=${NOPE}\n", ".env:2: ${NOPE} is not set"),
        (b"A=1\nB=x\0y\n", ".env:2: contains a NUL character"),
        (b"A=1\n\nB=\xff\n", ".env:3: byte 0xff is not valid UTF-8"),
    ],
)
def test_dotenv_broken_lines(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / ".env").write_bytes(data)
    assert failure(tmp_path).startswith(message)


def test_a_virtual_environment_called_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load(tmp_path).dotenv == {}


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


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("GH_PAT", "x", MASK),
        ("SESSION_COOKIE", "x", MASK),
        ("X_DSN", "https://x@sentry.example/1", MASK),
        ("SLACK_WEBHOOK", "https://hooks.example/x", MASK),
        ("SLACK_WEBHOOK_URL", "https://hooks.example/x", MASK),
        ("SQL", "Server=h;Password=x y;Database=d", f"Server=h;Password={MASK};Database=d"),
        ("AZURE", "AccountName=a;AccountKey=x==", f"AccountName=a;AccountKey={MASK}"),
        ("", "--db-password=x", f"--db-password={MASK}"),
        ("X", "https://h/?password=x&ssl=true", f"https://h/?password={MASK}&ssl=true"),
        ("X", "h=1;pwd=", "h=1;pwd="),
        ("DATA_PATH", "/srv/data", "/srv/data"),
        ("WEBHOOK_PORT", "8000", "8000"),
        ("OPTIONS", "--max-tokens=7 --sort-key=name --bypass=1", "--max-tokens=7 --sort-key=name --bypass=1"),
    ],
)
def test_what_is_masked(name: str, value: str, shown: str) -> None:
    assert mask(name, value) == shown


def test_child_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=dotenv\nBOTH=dotenv\nAPI_PORT=9000\nMONGODB_URL=mongodb://h\n")
    base = {"BOTH": "environ", "PATH": "/x", "MONGODB_URL": "", "TEMPORAL_PORT": " 7000 "}
    env = config.load(tmp_path, {"MIKA_TIMEOUT": "7.5"}, base).child_env(base)
    assert (env["MINE"], env["BOTH"], env["API_PORT"], env["TEMPORAL_PORT"]) == ("dotenv", "environ", "9000", "7000")
    assert (env["MIKA_TIMEOUT"], env["MIKA_HANG_TIMEOUT"]) == ("7.5", "5")
    assert not {"WORKFLOW_RUN_TIMEOUT", "TEMPORAL_TASK_QUEUE", "MONGODB_DATABASE"} & env.keys(), (
        "the app's own defaults"
    )
    assert env["TEMPORAL_ADDRESS"] == "127.0.0.1:7000"
    assert (env["PYTHONUNBUFFERED"], env["PYTHONUTF8"]) == ("1", "1")
    assert not {"MONGODB_URL", "LLM_API_KEY", "WEBHOOK_SECRET"} & env.keys()
    assert all(isinstance(value, str) for value in env.values())


@pytest.mark.parametrize(
    ("dotenv", "environ", "address", "host"),
    [
        ("TEMPORAL_HOST=localhost:7300\n", {}, "localhost:7300", "localhost:7300"),
        ("TEMPORAL_PORT=7400\nTEMPORAL_HOST=localhost:7300\n", {}, "localhost:7400", "localhost:7400"),
        ("TEMPORAL_PORT=7400\n", {"TEMPORAL_HOST": "t.example.com:7300"}, "t.example.com:7300", "t.example.com:7300"),
        ("TEMPORAL_HOST=localhost:7300\n", {"TEMPORAL_HOST": "127.0.0.2"}, "127.0.0.2:7300", "127.0.0.2"),
        ("TEMPORAL_HOST=localhost\n", {}, "localhost:7233", "localhost"),
    ],
)
def test_a_host_with_a_port_stays_one_for_the_project_that_reads_it_so(
    tmp_path: Path, dotenv: str, environ: dict[str, str], address: str, host: str
) -> None:
    (tmp_path / ".env").write_text(dotenv)
    env = config.load(tmp_path, {}, environ).child_env(environ)
    assert (env["TEMPORAL_ADDRESS"], env["TEMPORAL_HOST"]) == (address, host)
    assert env["TEMPORAL_PORT"] == address.rpartition(":")[2]


SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def environment(folder: Path) -> Path:
    (folder / SCRIPTS).mkdir(parents=True)
    (folder / SCRIPTS / "python").touch()
    return folder


@pytest.mark.parametrize(
    ("venv", "active", "expected"),
    [
        ("whole", None, "project"),
        ("whole", "whole", "project"),
        (None, "whole", "active"),
        ("empty", "whole", "active"),
        ("whole", "vanished", "project"),
        (None, "vanished", None),
        (None, None, None),
        (None, "", None),
    ],
)
def test_python_means_the_projects(tmp_path: Path, venv: str | None, active: str | None, expected: str | None) -> None:
    """And never mika's own: without an environment, PATH decides."""
    project = tmp_path.resolve() / "project"
    folders = {"project": project / ".venv", "active": tmp_path / "active"}
    project.mkdir()
    if venv == "whole":
        environment(folders["project"])
    elif venv == "empty":
        folders["project"].mkdir()
    if active == "whole":
        environment(folders["active"])
    base = {"PATH": "usual"}
    if active is not None:
        base["VIRTUAL_ENV"] = str(folders["active"]) if active else ""
    first = folders[expected] if expected else None
    env = load(project, base).child_env(base)
    assert env["PATH"] == (f"{first / SCRIPTS}{os.pathsep}usual" if first else "usual")
    assert first is None or env["VIRTUAL_ENV"] == str(first)


def test_a_near_miss_in_dotenv_is_told(tmp_path: Path) -> None:
    lines = "API_PRT=9000\nMIKA_BAKEND=none\nAPI_HOSTS=x\nTEMPORAL_PORT=7000\nOPENAI_API_KEY=x\nDATABASE_URL=y\n"
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    told = [note.partition(" is not")[0] for note in load(tmp_path, {}).notes() if note.startswith(".env")]
    assert told == [".env:1: API_PRT", ".env:2: MIKA_BAKEND", ".env:3: API_HOSTS"]


def test_the_address_that_the_sdks_know(tmp_path: Path) -> None:
    def found(**env: str) -> tuple[str, str, str]:
        settings = load(tmp_path, env)
        told = settings.child_env(env)["TEMPORAL_ADDRESS"]
        return settings.text("TEMPORAL_HOST"), settings.text("TEMPORAL_PORT"), told

    assert found(TEMPORAL_ADDRESS="localhost:7000") == ("localhost", "7000", "localhost:7000")
    assert found(TEMPORAL_ADDRESS="[::1]:7000") == ("::1", "7000", "[::1]:7000")
    assert found(TEMPORAL_ADDRESS="localhost:7000", TEMPORAL_PORT="7001") == ("localhost", "7001", "localhost:7001")
    (tmp_path / ".env").write_text("TEMPORAL_ADDRESS=temporal.example:7233\n")
    assert found() == ("temporal.example", "7233", "temporal.example:7233")


def test_each_process_has_the_python_of_its_folder(tmp_path: Path) -> None:
    project = tmp_path.resolve()
    environment(project / ".venv")
    environment(project / "jobs" / "venv")
    (project / "jobs" / "env").mkdir()
    config = load(project, {})

    def python_of(folder: str) -> str:
        return config.child_env({"PATH": "x"}, cwd=project / folder)["VIRTUAL_ENV"]

    assert python_of("web") == str(project / ".venv")
    assert python_of("jobs") == str(project / ".venv"), "a folder of that name without pyvenv.cfg may be anything"
    (project / "jobs" / "venv" / "pyvenv.cfg").touch()
    assert python_of("jobs") == python_of("jobs/app/api") == str(project / "jobs" / "venv")


def test_a_python_of_its_own_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    project = tmp_path.resolve()
    environment(project / ".venv")
    environment(project / "jobs" / ".venv")
    (project / "web").mkdir()
    (project / "mika.toml").write_text('[process.jobs]\ncwd = "jobs"\n[process.web]\ncwd = "web"\n')
    config = load(project, {})
    assert config.notes() == [f"jobs uses the Python environment {project / 'jobs' / '.venv'}"]
    shown = CliRunner().invoke(config_command, obj=Context(project)).output
    assert re.search(rf"^jobs\.python +{re.escape(str(project / 'jobs' / '.venv' / SCRIPTS))} ", shown, re.MULTILINE)
    assert "web.python" not in shown


def test_poetrys_environment_is_found_in_its_cache(tmp_path: Path) -> None:
    project = tmp_path.resolve() / "bot"
    project.mkdir()
    (project / "poetry.lock").touch()
    base = {"PATH": "x", "POETRY_CACHE_DIR": str(tmp_path / "cache")}
    path = os.fsencode(os.path.normcase(os.path.realpath(project)))
    digest = base64.urlsafe_b64encode(hashlib.sha256(path).digest()).decode()[:8]
    for name in (f"bot-{digest}-py3.9", f"bot-{digest}-py3.12", "other-AbCdEf12-py3.13"):
        environment(tmp_path / "cache" / "virtualenvs" / name)
    found = find_environment([project], base)
    assert found is not None
    assert found.root.name == f"bot-{digest}-py3.12"


def test_one_variable_with_two_spellings() -> None:
    """To Windows `Path` of mika.toml is the PATH that is there already, and overrides it."""
    env = {"PATH": "a", "X": "1", "Path": "b"}
    assert without_twins(env, "linux") == env
    assert without_twins(env, "win32") == {"Path": "b", "X": "1"}
