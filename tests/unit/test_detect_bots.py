"""Programs that mika names, with what runs them, and leaves to the user."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker

MAIN = "if __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    ("path", "source", "kind", "line"),
    [
        ("bot.py", f"from telegram.ext import Application\n{MAIN}", "Telegram bot", "bot: python bot.py"),
        ("bot.py", "import discord\nbot = discord.Client()\nbot.run('x')\n", "Discord bot", "bot: python bot.py"),
        (
            "src/chat/bot.py",
            f"from . import x\nimport aiogram\n{MAIN}",
            "Telegram bot",
            "bot: PYTHONPATH=src python -m chat.bot",
        ),
        ("ui.py", "import streamlit as st\nst.title('x')\n", "Streamlit app", "ui: streamlit run ui.py"),
        ("ui.py", "import chainlit as cl\n@cl.on_message\ndef m(): ...", "Chainlit app", "ui: chainlit run ui.py"),
        ("ui.py", f"import gradio as gr\n{MAIN}", "Gradio app", "ui: python ui.py"),
        (
            "jobs.py",
            "from celery import Celery\ncelery = Celery()\n",
            "Celery worker",
            "celery: celery -A jobs worker",
        ),
    ],
)
def test_a_program_that_is_left_to_the_user_is_named(tmp_path, path, source, kind, line):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), path: source})
    assert only(found).command == "python worker.py"
    (note,) = found.notes
    assert note.startswith(f"the {kind} of {path}: left out; to run it, add `{line}` to the Procfile")


@pytest.mark.parametrize(
    "source",
    [
        "import streamlit as st\ndef part():\n    st.title('x')\n",
        "import discord\ndef send(): ...\n",
        "from celery import shared_task\n@shared_task\ndef job(): ...\n",
    ],
)
def test_a_part_of_one_is_not(tmp_path, source):
    assert not proposed(tmp_path, {"worker.py": worker('"q"'), "part.py": source}).notes
