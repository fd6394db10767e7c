from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.config import Settings, load_settings_or_exit

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """No `.env` and no variable of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_contracts_defaults():
    settings = load_settings_or_exit()
    assert settings.temporal_address == "127.0.0.1:7233"
    assert settings.temporal_namespace == "default"
    assert settings.temporal_task_queue == "mika-bot-task-queue"
    assert settings.workflow_execution_timeout == 120
    assert settings.workflow_run_timeout == 60
    assert settings.workflow_task_timeout == 30
    assert settings.mongodb_database == "mika_bot"
    assert settings.mongodb_url is None
    assert settings.llm_base_url is None


def test_the_environment_wins_over_dotenv_and_an_empty_value_is_not_set(tmp_path, monkeypatch):
    text = "\ufeffTEMPORAL_PORT=1\nTEMPORAL_HOST=::1\nLLM_BASE_URL=\nSOMETHING_ELSE=x\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    monkeypatch.setenv("TEMPORAL_PORT", "2")
    settings = load_settings_or_exit()
    assert settings.temporal_address == "[::1]:2"
    assert settings.llm_base_url is None


def test_lists_may_have_chinese_commas(monkeypatch):
    monkeypatch.setenv("LANGBOT_ALLOWED_GROUPS", "777\uff0c888, 999\uff1b")
    monkeypatch.setenv("BOT_NAMES", "米卡、mika")
    settings = load_settings_or_exit()
    assert settings.langbot_allowed_groups == ("777", "888", "999")
    assert settings.bot_names == ("米卡", "mika")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEMPORAL_PORT", "0"),
        ("TEMPORAL_PORT", "65536"),
        ("TEMPORAL_PORT", "http"),
        ("TEMPORAL_TASK_QUEUE", " "),
        ("WORKFLOW_RUN_TIMEOUT", "0"),
        ("WORKFLOW_RUN_TIMEOUT", "-1"),
        ("WORKFLOW_RUN_TIMEOUT", "nan"),
        ("WORKFLOW_EXECUTION_TIMEOUT", "inf"),
        ("WORKFLOW_EXECUTION_TIMEOUT", "1e300"),
        ("WORKFLOW_TASK_TIMEOUT", "121"),
        ("WORKFLOW_TASK_TIMEOUT", "ten"),
        ("LLM_BASE_URL", "user:pass-word@localhost"),
        ("MONGODB_URL", "postgres://user:pass-word@localhost"),
        ("LANGBOT_API_BASE_URL", "ftp://pass-word"),
        ("LANGBOT_SEND_PATIENCE", "0"),
        ("LANGBOT_ON_FAILURE", "silence"),
        ("MIKA_HANG_TIMEOUT", "-1"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_2(name, value, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        load_settings_or_exit()
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert name in err
    assert "pass-word" not in err


def test_a_dotenv_that_is_not_text(tmp_path, capsys):
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(SystemExit):
        load_settings_or_exit()
    assert ".env" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["-m", "src.workers.temporal_worker"], ["-m", "uvicorn", "src.api.main:app", "--port", "0"]]
)
def test_a_program_with_a_bad_value_ends_with_2(command, tmp_path):
    env = {**os.environ, "TEMPORAL_PORT": "x", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, *command]
    done = subprocess.run(program, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "TEMPORAL_PORT" in done.stderr
    assert "Traceback" not in done.stderr
