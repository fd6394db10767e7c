"""What the model is told, seen from the model's side."""

from __future__ import annotations


def test_an_edited_prompt_counts_from_the_next_message_on(llm_bot, llm, worker):
    file = llm_bot.folder / "prompts" / "mika.md"
    file.parent.mkdir()
    try:
        for text in ("You are a pirate.", "You are a poet."):
            file.write_text(text, encoding="utf-8")
            assert llm_bot.post("who are you?").status_code == 200
            told = llm.requests[-1][2]["messages"]
            assert told[0] == {"role": "system", "content": text}
    finally:
        file.unlink()
        file.parent.rmdir()
    assert worker.popen.poll() is None
