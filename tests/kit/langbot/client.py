"""LangBot's classes, for tests: starts classes.py in the environment of one version and asks it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.kit.langbot.environments import python_with_langbot

CLASSES = Path(__file__).with_name("classes.py")
SELF_ID = 30003


class LangBotClasses:
    """`push`, `n8n` and `deliver` do what LangBot's own code does in this version."""

    def __init__(self, version: str) -> None:
        self.version = version
        proxies = {"http_proxy", "https_proxy", "all_proxy"}
        self._process = subprocess.Popen(
            [python_with_langbot(version), str(CLASSES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name.lower() not in proxies},
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def push(self, url: str, **given: Any) -> dict[str, Any]:
        """A message of `onebot` or a `chain` of LangBot's components; `skip_pipeline` as LangBot understood it."""
        return self._ask(do="push", url=url, **given)

    def n8n(self, url: str, text: str, **given: Any) -> dict[str, Any]:
        return self._ask(do="n8n", url=url, text=text, **{"stream": False, **given})

    def deliver(self, chain: list[dict[str, Any]]) -> dict[str, Any]:
        return self._ask(do="deliver", chain=chain)

    def _ask(self, **request: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        found = self._read()
        assert "crash" not in found, found
        return found

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        assert line, f"LangBot {self.version}: the classes did not start (its reason is on standard error)"
        return json.loads(line)


def onebot_message(
    *parts: dict[str, Any] | str, message_id: int, user: int = 10001, group: int | None = None
) -> dict[str, Any]:
    """An event of OneBot v11 as NapCat sends it; a string is a text segment."""
    segments = [{"type": "text", "data": {"text": part}} if isinstance(part, str) else part for part in parts]
    event = {
        "time": 1795493979,
        "self_id": SELF_ID,
        "post_type": "message",
        "message_type": "group" if group else "private",
        "sub_type": "normal" if group else "friend",
        "message_id": message_id,
        "user_id": user,
        "message": segments,
        "raw_message": "",
        "font": 14,
        "sender": {"user_id": user, "nickname": "Ann", "card": "", "role": "member"},
    }
    return event | ({"group_id": group} if group else {})
