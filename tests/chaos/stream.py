"""A stream of messages; each sender notes what it hears."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.chaos.options import PATIENCE, Options
from tests.kit.machine import poll_until


@dataclass
class Message:
    """One message and all that its sender heard."""

    id: str
    began: float
    answered: float | None = None  # time.monotonic() of the first 200
    workflow_ids: set[str] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        return f"message {self.id}."

    @property
    def accepted(self) -> bool:
        return self.answered is not None or bool(self.workflow_ids)


class Stream:
    """Senders at work until `finish`, each with one message at a time."""

    def __init__(self, url: str, options: Options) -> None:
        self.messages: list[Message] = []
        self._url, self._seed = url, options.seed
        self._finish = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(options.senders)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Let each sender get its last message through."""
        self._finish.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        rng = random.Random(f"{self._seed} {sender}")
        count = 0
        with httpx.Client(base_url=self._url, timeout=90, trust_env=False) as http:
            while not self._finish.is_set():
                count += 1
                message = Message(f"{self._seed}-{sender}-{count}", time.monotonic())
                self.messages.append(message)
                user = f"user-{rng.randrange(5)}"
                with contextlib.suppress(AssertionError):  # given up: the books say what became of it
                    poll_until(lambda m=message, u=user: self._post(http, m, u), PATIENCE, "an answer", step=0.2)
                if rng.random() < 0.2:  # delivered once more, as a network does that lost the answer
                    with contextlib.suppress(httpx.HTTPError):
                        self._post(http, message, user)
                self._finish.wait(rng.uniform(0.05, 0.6))

    @staticmethod
    def _post(http: httpx.Client, message: Message, user: str) -> bool:
        body = {"user_id": user, "message": message.text, "message_id": message.id}
        try:
            response = http.post("/webhook/langbot", json=body)
        except httpx.HTTPError as error:
            message.refusals[type(error).__name__] += 1
            raise
        if response.headers.get("content-type", "").startswith("text/"):
            message.refusals[f"HTTP {response.status_code} as text"] += 1  # uvicorn's own words, not the API's
            return False
        answer = response.json()
        if answer.get("workflow_id"):
            message.workflow_ids.add(answer["workflow_id"])
        if response.status_code != 200:
            message.refusals[answer["code"]] += 1
            return False
        message.answered = message.answered or time.monotonic()
        message.replies.add(answer["response"])
        return True
