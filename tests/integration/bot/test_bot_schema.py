"""The API does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.bot_processes import BotProcesses

SECRET = "s3cret"


@pytest.fixture(scope="module")
def bot(tmp_path_factory, temporal):
    with BotProcesses(tmp_path_factory.mktemp("bot"), temporal.port, WEBHOOK_SECRET=SECRET) as bot:
        bot.start_api()
        bot.start_worker()
        yield bot


def test_schemathesis_has_no_findings(bot, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{bot.http.base_url}/openapi.json", "--header", f"X-Webhook-Secret: {SECRET}"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", "1", "--workers", "4"]
    command += ["--request-timeout", "20", "--continue-on-failure", "--no-color"]
    found = subprocess.run(
        command, check=False, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=100
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "exception" not in bot.started[0].output()
