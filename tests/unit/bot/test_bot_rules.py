"""When the bot speaks in a group, and how it says why it did not."""

from __future__ import annotations

import pytest

from src.chat.rules import Heard, Rules
from src.chat.silence import MessageLog, Silence
from src.config import Settings


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def rules(clock=None, **settings):
    return Rules(Settings(_env_file=None, **settings), clock or Clock())


_keys = iter(range(10**9))


def heard(typed="mika, hi", *, group="g", user="u", mentions=(), quoted="", own=("30003",), key="", bot="b"):
    key = key or str(next(_keys))
    return Heard(key, bot, user, group, typed, typed, frozenset(mentions), quoted, frozenset(own))


def code(silence):
    return silence.code if silence else None


@pytest.mark.parametrize(
    "typed",
    ["mika", "Mika, hello", "hello MIKA!", "你好mika酱", "米卡在吗", "@mika hi", "mika你好", "(mika)"],
)
def test_a_name_calls_the_bot(typed):
    assert rules().silence(heard(typed)) is None


@pytest.mark.parametrize("typed", ["", "hello", "mikado", "my_mika", "kamika", "mika2", "米 卡"])
def test_what_is_no_name(typed):
    silence = rules().silence(heard(typed))
    assert code(silence) == "not_called"
    assert "BOT_NAMES" in silence.detail
    assert "BOT_ANSWERS_GROUPS=all" in silence.fix


def test_other_names():
    other = rules(bot_names="小助手, Bot.")
    assert other.silence(heard("小助手好")) is None
    assert other.silence(heard("hi bot.")) is None
    assert code(other.silence(heard("hi bots"))) == "not_called"
    assert code(rules(bot_names=()).silence(heard("mika"))) == "not_called"


def test_an_at_or_a_reply_calls_the_bot():
    assert rules().silence(heard("hi", mentions=["30003"])) is None
    assert rules().silence(heard("hi", quoted="30003")) is None
    assert code(rules().silence(heard("hi", mentions=["7"], quoted="8"))) == "not_called"
    unknown = rules().silence(heard("hi", mentions=["30003"], own=()))
    assert code(unknown) == "own_account_unknown"
    assert "30003" in unknown.detail
    assert "BOT_IDS" in unknown.fix


def test_a_private_message_is_always_answered():
    always = rules(langbot_allowed_groups="1", bot_user_rate_limit=1)
    assert [always.silence(heard("hi", group="")) for _ in range(30)] == [None] * 30
    assert code(always.silence(heard("hi", group="", user="30003"))) == "own_message"


def test_all_groups_or_some():
    assert rules(bot_answers_groups="all").silence(heard("hello")) is None
    some = rules(langbot_allowed_groups="20002, 20003")
    assert some.silence(heard(group="20003")) is None
    silence = some.silence(heard(group="7"))
    assert code(silence) == "group_not_allowed"
    assert "LANGBOT_ALLOWED_GROUPS" in silence.fix


def test_the_same_again_within_5_s(clock):
    bot = rules(clock)
    first = heard(key="m1")
    assert bot.silence(first) is None
    assert bot.silence(heard(key="m1")) is None  # pushed twice: still the same message
    assert code(bot.silence(heard())) == "duplicate"
    assert bot.silence(heard("mika, something else")) is None
    assert bot.silence(heard(user="v")) is None
    assert bot.silence(heard(group="h")) is None
    assert bot.silence(heard(bot="another")) is None
    clock.now += 5
    again = heard()
    assert bot.silence(again) is None
    bot.withdraw(again, was_taken=False)  # Temporal was away
    assert bot.silence(heard()) is None


def test_the_limit_of_one_user(clock):
    bot = rules(clock)
    for number in range(20):
        assert bot.silence(heard(f"mika {number}", group=f"g{number}")) is None
        clock.now += 1
    silence = bot.silence(heard("mika", group="g21"))
    assert code(silence) == "rate_limited_user"
    assert "wait 40 s" in silence.fix
    assert "BOT_USER_RATE_LIMIT" in silence.fix
    assert bot.silence(heard(user="v")) is None
    clock.now += 40
    assert bot.silence(heard("mika", group="g22")) is None
    assert code(bot.silence(heard("mika!", group="g22"))) == "rate_limited_user"


def test_the_limit_of_one_group(clock):
    bot = rules(clock)
    assert [bot.silence(heard(user=f"u{number}")) for number in range(50)] == [None] * 50
    assert code(bot.silence(heard(user="v"))) == "rate_limited_group"
    assert bot.silence(heard(user="v", group="h")) is None
    free = rules(clock, bot_group_rate_limit=0, bot_user_rate_limit=0)
    assert [free.silence(heard(f"mika {number}")) for number in range(200)] == [None] * 200


def test_what_is_not_answered_does_not_count(clock):
    bot = rules(clock, bot_user_rate_limit=1)
    assert code(bot.silence(heard("hello"))) == "not_called"
    assert bot.silence(heard("mika")) is None


@pytest.mark.parametrize("limit", ["bot_user_rate_limit", "bot_group_rate_limit"])
def test_what_was_not_taken_does_not_count(clock, limit):
    bot = rules(clock, **{limit: 2})
    for number in range(10):  # Temporal was away
        message = heard(f"mika {number}")
        assert bot.silence(message) is None
        bot.withdraw(message, was_taken=False)
        clock.now += 1
    for number in range(2):  # these have cost a reply of the model
        message = heard(f"mika {number}")
        assert bot.silence(message) is None
        bot.withdraw(message, was_taken=True)
    assert code(bot.silence(heard("mika, one more"))) == f"rate_limited_{limit.split('_')[1]}"


def test_what_became_of_a_message():
    messages = MessageLog()
    silence = Silence("not_called", "why", "what to do")
    messages.record({"m1", ""}, {"Hello  you", ""}, "langbot", silence=silence)
    messages.record({"m2"}, {"hi"}, "onebot", workflow_id="process_message_1")
    (found,) = messages.find("m1", "")
    assert found.pop("at").endswith("+00:00")
    assert found == {
        "door": "langbot",
        "taken": False,
        "workflow_id": None,
        "reason": "not_called",
        "detail": "why",
        "fix": "what to do",
    }
    assert messages.find("", " hello you ") == messages.find("m1", "x")
    assert messages.find("process_message_1", "")[0]["taken"] is True
    assert messages.find("m2", "")[0]["workflow_id"] == "process_message_1"
    assert messages.find("", "Hello") == messages.find("", " ") == messages.find("m3", "") == []


def test_what_is_remembered_is_bounded():
    messages = MessageLog()
    for number in range(3000):
        messages.record({str(number)}, {"hi"}, "langbot", workflow_id=f"w{number}")
    assert len(messages) == 1000
    assert not messages.find("0", "")
    assert messages.find("", "hi")[0]["workflow_id"] == "w2999"
    assert len(messages.find("", "hi")) == 20
