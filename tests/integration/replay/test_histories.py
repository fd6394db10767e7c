"""The bot's recorded histories: its workflow fits them, without any server, and an edit that breaks them is found."""

from __future__ import annotations

import shutil

import pytest

from tests.kit.bot_histories import FOLDER
from tests.kit.machine import ROOT
from tests.kit.project import Project

FILES = sorted(FOLDER.glob("*.json"))
OTHER = """
import asyncio
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

@workflow.defn
class Other:
    @workflow.run
    async def run(self) -> None:
        pass

async def main():
    await Worker(await Client.connect("127.0.0.1:1"), task_queue="other", workflows=[Other]).run()

if __name__ == "__main__":
    asyncio.run(main())
"""
ASK = "execute_activity(\n        ASK_LLM,\n"


@pytest.fixture
def bot(tmp_path):
    """A copy of the bot's source, in a project where nothing runs."""
    with Project(tmp_path, (ROOT / "Procfile").read_bytes(), backend="embedded") as project:
        shutil.copytree(ROOT / "src", project.folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        yield project


def test_the_bots_workflow_fits_its_recorded_histories_and_a_type_is_gone_only_if_no_process_has_it(bot):
    """Recorded runs do not say whose they are."""
    assert len(FILES) >= 6
    # The name of a file says nothing: the workflow that sends later has an id that is made of this one's.
    renamed = [shutil.copy(file, bot.folder / f"{number}.json") for number, file in enumerate(FILES)]
    bot.write("Procfile", (ROOT / "Procfile").read_text(encoding="utf-8") + "other: python other.py\n")
    bot.write("other.py", OTHER)
    bot.write("mika.toml", '[process.worker]\nready = "worker:bot"\n[process.other]\nready = "worker:other"\n')
    both = bot.ok("check", "--json", "--timeout", "60", "--histories", *map(str, renamed)).json["checks"]
    assert [(check["process"], check["state"], check["fits"]) for check in both] == [
        ("worker", "fits", len(FILES)),
        ("other", "fits", 0),
    ]
    alone = bot.mika("check", "other", "--histories", *map(str, renamed))
    assert alone.code == 1, str(alone)
    assert f"{len(FILES) - 1} runs of it are recorded" in alone.out  # one file is of the workflow that sends later


def test_another_step_does_not_fit_them(bot):
    workflow = bot.folder / "src" / "workflows" / "message_workflow.py"
    source = workflow.read_text(encoding="utf-8")
    assert source.count(ASK) == 1
    workflow.write_text(source.replace(ASK, ASK.replace("ASK_LLM", "SAVE_TURN")), encoding="utf-8")
    check = bot.mika("check", "worker", "--json", "--histories", *map(str, FILES))
    assert check.code == 1, check
    (worker,) = check.json["checks"]
    assert {misfit["event"]["name"] for misfit in worker["misfits"]} == {"ask_llm"}, check
    assert {misfit["asked"] for misfit in worker["misfits"]} == {"activity save_turn"}
    assert {misfit["place"]["file"] for misfit in worker["misfits"]} == {str(workflow)}
