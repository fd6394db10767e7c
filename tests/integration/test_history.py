"""`mika history`, on the real stack."""

from __future__ import annotations

from tests.kit.bot import Bot


def test_a_user_is_shown_and_forgotten(bot: Bot):
    bot.ok("send", "--user", "zoe", "hello \x1b[31mred\x1b[0m \x07bell")
    bot.ok("send", "--user", "zoe", "--group", "g7", "in the group")
    shown = bot.ok("history", "show", "zoe").out
    assert "< hello red \ufffdbell" in shown
    assert "\x1b" not in shown
    assert "< in the group" in shown
    turns = bot.ok("history", "show", "zoe", "--group", "g7", "--json").json["turns"]
    assert [(turn["message"], turn["message_type"]) for turn in turns] == [("in the group", "group")]
    assert "earlier turns that I remember: 1" in bot.ok("send", "--user", "zoe", "again").out

    bot.error("history", "forget", "zoe", code=2)  # nobody answers
    assert bot.mika("history", "forget", "zoe", stdin="n\n").code == 130
    assert bot.mika("history", "forget", "zoe", "--group", "g7", stdin="y\n").out == (
        "forgotten: 1 message of zoe in group g7, with the replies\n"
    )
    assert bot.ok("history", "forget", "zoe", "--yes", "--json").json == {"version": 1, "user": "zoe", "forgotten": 2}
    assert bot.ok("history", "show", "zoe").out == "nothing is kept of zoe\n"
    assert "earlier turns that I remember: 0" in bot.ok("send", "--user", "zoe", "who am I?").out
    bot.ok("history", "forget", "zoe", "--yes")


def test_an_api_without_it_and_no_stack(project):
    stack = project("api: python -m http.server $API_PORT --bind 127.0.0.1\n", backend="none")
    said = stack.error("history", "show", "zoe", code=3).err
    assert "no stack is running" in said
    assert "mika up`" in said
    stack.ok("up", "-d")
    for command in (("show",), ("forget", "--yes")):
        said = stack.error("history", *command, "zoe", code=1).err
        assert "has no /history/USER" in said
