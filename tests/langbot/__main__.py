"""Messages through the whole of a real LangBot: QQ's side is fake, everything behind it is real.

`python -m tests.langbot` counts, for each LangBot, the messages that got their one reply in their own chat.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kit import reaper
from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.langbot.client import SELF_ID, onebot_message
from tests.kit.langbot.environments import VERSIONS
from tests.kit.langbot.process import QQ, LangBot
from tests.kit.stub_http import StubServer

REPLY = "from the model"  # what the scripted model says: anything else comes from LangBot's own pipeline
AT = {"type": "at", "data": {"qq": str(SELF_ID)}}
SETTLE = 5.0  # s after the last reply, for a second one


@dataclass(frozen=True)
class Pattern:
    name: str
    messages: int
    seconds: float
    group: bool = False


PATTERNS = (
    Pattern("private, one by one", 5, 5),
    Pattern("group, with @", 5, 5, group=True),
    Pattern("50 in 5 s", 50, 5),
    Pattern("100 at once", 100, 0),
)


@dataclass(frozen=True)
class Result:
    once: int
    never: int
    more: int
    by_langbot: int
    unpushed: int
    delays: list[float]

    @property
    def is_good(self) -> bool:
        return not (self.never or self.more or self.by_langbot)


def run(version: str, patterns: tuple[Pattern, ...], folder: Path, timeout: float, slots: int) -> bool:
    """One LangBot; whether every message of all patterns got exactly one reply."""
    good = True
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(StubServer())
        langbot = stack.enter_context(LangBot(folder / "langbot", version, slots))
        server = stack.enter_context(TemporalServer(folder, in_memory=True))
        settings = {
            "LLM_BASE_URL": f"{model.url}/v1",
            "LANGBOT_API_BASE_URL": langbot.url,
            "LANGBOT_API_KEY": langbot.key,
            "WEBHOOK_SECRET": "s3",
        }
        bot = stack.enter_context(BotProcesses(folder, server.port, **settings))
        bot.start_api()
        bot.start_worker()
        langbot.connect(str(bot.http.base_url.join("/webhook/langbot?secret=s3")))
        qq = stack.enter_context(QQ(langbot))
        for number, pattern in enumerate(patterns, 1):
            result = measure(langbot, qq, pattern, 100_000 * number, timeout)
            good = good and result.is_good
            p50, most = (statistics.median(result.delays), max(result.delays)) if result.delays else (0.0, 0.0)
            print(
                f"{version:8} {pattern.name:20} {pattern.messages:8} {result.once:6} {result.never:6} {result.more:6}"
                f" {result.by_langbot:8} {result.unpushed:8} {p50:6.1f} {most:6.1f}",
                flush=True,
            )
        print(f"  /readyz: {bot.http.get('/readyz').json()['langbot']['detail']}", flush=True)
    return good


def measure(langbot: LangBot, qq: QQ, pattern: Pattern, first: int, timeout: float) -> Result:
    """Each message comes from another person, and in groups from another group, so that a reply names its message."""
    began: dict[int, float] = {}
    seen, unpushed = len(qq.sent()), langbot.unpushed()
    for number in range(first, first + pattern.messages):
        began[number] = time.time()
        parts = (AT, " hello") if pattern.group else ("hello",)
        group = number if pattern.group else None
        qq.send(onebot_message(*parts, message_id=number, user=number, group=group))
        time.sleep(pattern.seconds / pattern.messages)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if len({chat_of(call) for call in qq.sent()[seen:]}) + langbot.unpushed() - unpushed >= pattern.messages:
            break
        time.sleep(0.2)
    time.sleep(SETTLE)
    chats: dict[int, list[float]] = {number: [] for number in began}
    by_langbot = 0
    for call in qq.sent()[seen:]:
        if REPLY in str(call["params"]["message"]):
            chats[chat_of(call)].append(call["at"])
        else:
            by_langbot += 1
            print(f"  LangBot itself: {str(call['params'])[:200]}")
    counts = [len(times) for times in chats.values()]
    delays = [times[0] - began[number] for number, times in chats.items() if times]
    more = sum(count > 1 for count in counts)
    skipped = langbot.unpushed() - unpushed
    return Result(counts.count(1), counts.count(0), more, by_langbot, skipped, delays)


def chat_of(call: dict[str, dict[str, int]]) -> int:
    return int(call["params"].get("group_id") or call["params"]["user_id"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", choices=VERSIONS, action="append", help="only this LangBot")
    parser.add_argument("--timeout", type=float, default=180, help="seconds that a pattern may take (180)")
    parser.add_argument(
        "--slots", type=int, default=128, help="webhooks at the same time, of LangBot's 128 (its default: 16)"
    )
    arguments = parser.parse_args()
    print(f"{'LangBot':8} {'':20} messages   once  never   more   itself unpushed  p50 s  max s", flush=True)
    results = []
    for version in arguments.version or VERSIONS:
        with tempfile.TemporaryDirectory(prefix="mika-langbot-", ignore_cleanup_errors=True) as folder:
            results.append(run(version, PATTERNS, Path(folder), arguments.timeout, arguments.slots))
    return 0 if all(results) else 1


if __name__ == "__main__":
    reaper.end_with_us()
    sys.exit(main())
