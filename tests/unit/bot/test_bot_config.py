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
        ("HISTORY_KEY", "pass-word"),
        ("LANGBOT_API_KEY", "密钥pass-word"),
        ("ONEBOT_ACCESS_TOKEN", "pass-word\n2"),
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


def test_each_mistake_is_a_line_that_says_where_and_what(tmp_path, monkeypatch, capsys):
    (tmp_path / ".env").write_text("HISTORY_KEY=short\nLANGBOT_ON_FAILURE=silence\nTEMPORAL_PORT=1\n", encoding="utf-8")
    monkeypatch.setenv("LANGBOT_ON_FAILURE", "silence")  # as mika, which has read the file, gives it to the bot
    monkeypatch.setenv("TEMPORAL_PORT", "0")
    with pytest.raises(SystemExit):
        load_settings_or_exit()
    then = "; correct it there, then start the bot again"
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"mika: configuration: .env: HISTORY_KEY must have at least 16 characters{then}",
        f"mika: configuration: .env: LANGBOT_ON_FAILURE must be 'pipeline' or 'apology', got 'silence'{then}",
        "mika: configuration: the environment: TEMPORAL_PORT must be greater than or equal to 1, got '0'" + then,
    ]


def test_the_case_of_a_choice_does_not_matter(monkeypatch):
    monkeypatch.setenv("LANGBOT_ON_FAILURE", "Apology")
    monkeypatch.setenv("BOT_ANSWERS_GROUPS", "ALL ")
    monkeypatch.setenv("N8N_AUTH", "None")
    settings = load_settings_or_exit()
    assert (settings.langbot_on_failure, settings.bot_answers_groups, settings.n8n_auth) == ("apology", "all", "none")


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
