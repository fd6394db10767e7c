"""Text from Windows: UTF-16 with its mark (the `>` of Windows PowerShell), UTF-8 with a mark (Notepad)."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from mika.backends.mentions import mentions_temporal
from mika.cli import input_option, names
from mika.cli.send import _standard_input
from mika.config.load import load
from mika.detect.documented import documented, packages
from mika.detect.files import Files
from mika.doctor.checks.versions import find_homes, find_unmet
from mika.errors import UsageError
from mika.text import read_text

from tests.kit.sources import only, proposed


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_configuration_in_utf_16_is_named_so(tmp_path: Path, encoding: str):
    """Its first byte alone would not tell what to do, and its editor shows nothing unusual."""
    data = "web: python web.py\r\n".encode(encoding)
    (tmp_path / "Procfile").write_bytes(data if encoding == "utf-16" else b"\xfe\xff" + data)
    with pytest.raises(UsageError) as caught:
        read_text(tmp_path / "Procfile", "Procfile")
    assert caught.value.message == (
        "Procfile:1: is UTF-16, which the `>` of Windows PowerShell writes; save it as UTF-8"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dependencies_are_read_as_pip_reads_them(tmp_path: Path, encoding: str):
    """`pip freeze > requirements.txt`"""
    (tmp_path / "requirements.txt").write_bytes("fastapi==1\r\ntemporalio==1.18\r\n".encode(encoding))
    assert Files(tmp_path).text("requirements.txt").splitlines() == ["fastapi==1", "temporalio==1.18"]
    assert mentions_temporal(load(tmp_path, environ={}))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_first_name_of_a_procfile_is_completed(tmp_path: Path, encoding: str):
    (tmp_path / "Procfile").write_bytes("web: x\r\nworker: y\r\n".encode(encoding))
    assert names.written(tmp_path) == ["web", "worker"]


def test_a_pyproject_with_a_mark_is_compared_with_the_environment(tmp_path: Path):
    scripts = tmp_path / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    scripts.mkdir(parents=True)
    (scripts / "python").touch()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version = 3.11.2\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.13"\n', encoding="utf-8-sig")
    assert [*find_unmet(next(find_homes(tmp_path, [tmp_path])))] == [
        "Python is 3.11.2 in .venv, and pyproject.toml asks for >=3.13"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_input_from_a_file(tmp_path: Path, encoding: str):
    """`ConvertTo-Json > input.json`"""
    file = tmp_path / "input.json"
    file.write_bytes('{"name": "Jörg"}\r\n'.encode(encoding))
    assert input_option.texts_of([f"@{file}"])[0].strip() == '{"name": "Jörg"}'


def test_input_from_a_pipe_of_powershell(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeff[1]"))
    assert input_option.texts_of(["-"]) == ["[1]"]


def test_bad_json_in_a_file_or_a_pipe_is_no_matter_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "input.json"
    file.write_text("hello")
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello"))
    for value in (f"@{file}", "-"):
        with pytest.raises(UsageError) as caught:
            input_option.texts_of([value])
        assert caught.value.message.startswith(f"--input {value} is not JSON: ")
        assert caught.value.hint == 'a text is JSON in double quotes: "hello"'


def test_a_message_from_a_file(monkeypatch: pytest.MonkeyPatch):
    """`mika send - <message.txt`"""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        standard_input = io.TextIOWrapper(io.BytesIO("Grüße, 你好\r\n".encode(encoding)))
        monkeypatch.setattr(sys, "stdin", standard_input)
        assert _standard_input() == "Grüße, 你好"


def test_a_shell_of_windows_takes_quotes_away():
    """`--input '"hello"'` of another shell arrives there as it is, or without any quotes."""
    assert '"\\"hello\\""' in input_option._fix("win32")
    assert '"@FILE"' in input_option._fix("win32")
    assert "--input '\"hello\"'" in input_option._fix("linux")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.bat", "@echo off\r\ncall venv\\Scripts\\activate\r\npython -m uvicorn app:app ^\r\n  --port 8123\r\n"),
        ("start.cmd", "uvicorn app:app --port 8123\r\n"),
        ("start.ps1", "uvicorn app:app `\r\n  --port 8123\r\n"),
        ("README.md", "```\r\nuvicorn app:app \\\r\n  --port 8123\r\n```\r\n"),
        ("README.md", "`python app.py`\r\nand `uvicorn app:app --port 8123`\r\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_port_of_a_script_of_windows(tmp_path: Path, path: str, text: str, encoding: str):
    app = "from fastapi import FastAPI\r\napp = FastAPI()\r\n"
    found = proposed(tmp_path, {"app.py": app, path: text.encode(encoding)})
    assert "--port 8123" in only(found).command


def test_packages_of_a_readme_with_crlf(tmp_path: Path):
    (tmp_path / "README.md").write_bytes(b"```\r\npip install fastapi uvicorn\r\n```\r\n")
    assert packages(Files(tmp_path)) == "fastapi uvicorn"


@pytest.mark.parametrize(
    "line",
    [
        r"python src\worker.py",
        r"venv\Scripts\python.exe src\worker.py",
        r"py -3.11 src\worker.py",
        r'start "" cmd /k "venv\Scripts\activate && python src\worker.py"',
    ],
)
def test_what_a_script_of_windows_starts(tmp_path: Path, line: str):
    (tmp_path / "run.bat").write_bytes(f"@echo off\r\n{line}\r\n".encode())
    assert [one.means("src/worker.py") for one in documented(Files(tmp_path))] == [True]
