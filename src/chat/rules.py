"""When the bot speaks. In a private chat it always does; in a group only when it is called, and not too often."""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mika.diagnosis.wording import _

from src.chat.content import short
from src.chat.silence import Silence

if TYPE_CHECKING:
    from src.config import Settings

T = TypeVar("T")

DUPLICATE_WITHIN = 5.0  # s
_WINDOW = 60.0  # s
_REMEMBERED = 10_000
"""Users, groups and messages; the ones that were seen least recently are forgotten first."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What decides. `key` is the same for the same message, however often it is pushed."""

    key: str
    bot: str
    """Which of the bots, as the door calls them. All of them hear what is said in a group."""
    user: str
    group: str
    typed: str
    same_as: str
    """Equal for messages that say the same."""
    mentions: frozenset[str]
    quoted_sender: str
    own_accounts: frozenset[str]


class Rules:
    """Of one API process, in memory."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._names = _pattern(settings.bot_names)
        self._passed: OrderedDict[str, float] = OrderedDict()
        """When a message counted for the limits."""
        self._said: OrderedDict[str, float] = OrderedDict()
        self._rates: OrderedDict[str, deque[float]] = OrderedDict()

    def is_named(self, text: str) -> bool:
        return self._names is not None and self._names.search(text) is not None

    def may_answer(self, group: str, typed: str) -> bool:
        """Whether what is neither an @ nor a reply is answered, unless the bot itself wrote it."""
        return not group or self._settings.bot_answers_groups == "all" or self.is_named(typed)

    def silence(self, heard: Heard) -> Silence | None:
        """Why this message is not answered; None if it is. What is answered counts for the limits."""
        if heard.user in heard.own_accounts:
            return Silence("own_message", _("the bot wrote it itself"), _("nothing is to be done"))
        if not heard.group or heard.key in self._passed:
            return None
        silence = self._not_allowed(heard) or self._not_called(heard) or self._again(heard) or self._too_often(heard)
        if silence is None:
            now = self._clock()
            _remember(self._passed, heard.key, now)
            _remember(self._said, _sayer(heard), now)
            for name, _limit, _setting in self._limits(heard):
                self._rates.setdefault(name, deque()).append(now)
                _remember(self._rates, name, self._rates[name])
        return silence

    def withdraw(self, heard: Heard, *, was_taken: bool) -> None:
        """It could not be answered after all: saying it again at once is no repetition.

        It still counts for the limits if it was taken: it has cost what they limit.
        """
        counted_at = self._passed.pop(heard.key, None)
        self._said.pop(_sayer(heard), None)
        if was_taken or counted_at is None:
            return
        for name, _limit, _setting in self._limits(heard):
            times = self._rates.get(name, deque())
            if counted_at in times:
                times.remove(counted_at)

    def _not_allowed(self, heard: Heard) -> Silence | None:
        allowed = self._settings.langbot_allowed_groups
        if not allowed or heard.group in allowed:
            return None
        return Silence(
            "group_not_allowed",
            _("group {group} is not in LANGBOT_ALLOWED_GROUPS", group=short(heard.group)),
            _("add {group} to LANGBOT_ALLOWED_GROUPS in .env, then `mika restart api`", group=short(heard.group)),
        )

    def _not_called(self, heard: Heard) -> Silence | None:
        own = heard.own_accounts
        is_called = heard.quoted_sender in own or not own.isdisjoint(heard.mentions) or self.is_named(heard.typed)
        if is_called or self._settings.bot_answers_groups == "all":
            return None
        names = ", ".join(self._settings.bot_names) or _("none is set")
        accounts = ", ".join(sorted(heard.mentions | ({heard.quoted_sender} - {""}))[:3])
        if accounts and not own:
            return Silence(
                "own_account_unknown",
                _(
                    "it is for {accounts}, but the bot does not know its own account, and none of its names was said",
                    accounts=accounts,
                ),
                _(
                    "set BOT_IDS to the bot's own account in .env (or LANGBOT_API_BASE_URL and LANGBOT_API_KEY, so "
                    "that it can ask LangBot), then `mika restart api`"
                ),
            )
        return Silence(
            "not_called",
            _(
                "a message in a group that does not call the bot: neither an @ of it, nor a reply to it, nor a name "
                "(BOT_NAMES: {names})",
                names=names,
            ),
            _(
                "say its name or @ it; another name goes into BOT_NAMES in .env (BOT_ANSWERS_GROUPS=all answers "
                "everything), then `mika restart api`"
            ),
        )

    def _again(self, heard: Heard) -> Silence | None:
        said_at = self._said.get(_sayer(heard))
        if said_at is None or self._clock() - said_at >= DUPLICATE_WITHIN:
            return None
        return Silence(
            "duplicate",
            _(
                "the same user said the same to the bot in this group less than {seconds:g} s before",
                seconds=DUPLICATE_WITHIN,
            ),
            _("nothing is to be done; after {seconds:g} s it is answered again", seconds=DUPLICATE_WITHIN),
        )

    def _too_often(self, heard: Heard) -> Silence | None:
        now = self._clock()
        for name, limit, setting in self._limits(heard):
            times = self._rates.get(name, deque())
            while times and now - times[0] >= _WINDOW:
                times.popleft()
            if len(times) >= limit:
                if setting == "BOT_USER_RATE_LIMIT":
                    who, detail = "user", _("more than {limit} messages from this user in a minute", limit=limit)
                else:
                    who, detail = "group", _("more than {limit} messages from this group in a minute", limit=limit)
                detail = _("{finding} ({setting})", finding=detail, setting=setting)
                fix = _(
                    "wait {seconds:.0f} s, or raise {setting} in .env (0: no limit), then `mika restart api`",
                    seconds=_WINDOW - (now - times[0]),
                    setting=setting,
                )
                return Silence(f"rate_limited_{who}", detail, fix)
        return None

    def _limits(self, heard: Heard) -> list[tuple[str, int, str]]:
        """(key, limit, setting) of the limits that are on."""
        settings = self._settings
        limits = [
            (f"user/{heard.user}", settings.bot_user_rate_limit, "BOT_USER_RATE_LIMIT"),
            (f"group/{heard.group}", settings.bot_group_rate_limit, "BOT_GROUP_RATE_LIMIT"),
        ]
        return [limit for limit in limits if limit[1] > 0]


def _sayer(heard: Heard) -> str:
    return f"{heard.bot}\0{heard.user}\0{heard.group}\0{heard.same_as}"


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _pattern(names: tuple[str, ...]) -> re.Pattern[str] | None:
    """Any of the names, in any case. A name in Latin letters is not found inside a longer word (`mika`, `mikado`)."""
    word = "A-Za-z0-9_"
    edge = re.compile(f"[{word}]")
    parts = []
    for name in names:
        before = f"(?<![{word}])" if edge.match(name[0]) else ""
        after = f"(?![{word}])" if edge.match(name[-1]) else ""
        parts.append(f"{before}{re.escape(name)}{after}")
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None
