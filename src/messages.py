"""The data that the API, the workflow and its activities exchange. Temporal's history stores it as readable text.

So it must never contain a secret.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "ProcessMessageWorkflow"
LOAD_HISTORY = "load_history"
ASK_LLM = "ask_llm"
SAVE_TURN = "save_turn"
SEND_REPLY = "send_reply"


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """Where LangBot's service API should send the reply; `target_type` is `person` or `group`."""

    bot_uuid: str
    target_type: str
    target_id: str


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message from a user. `group_id` is empty in a private chat; `reply_to` is only set for a webhook event."""

    user_id: str
    message: str
    group_id: str = ""
    reply_to: ReplyTarget | None = None

    @property
    def message_type(self) -> str:
        return "group" if self.group_id else "private"


@dataclass(frozen=True, slots=True)
class Reply:
    """The workflow's result."""

    response: str


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message and its reply."""

    message: str
    reply: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """One user, alone or in one group."""

    user_id: str
    group_id: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent to the model."""

    message: str
    history: list[Turn]


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What is stored. `created_at` (POSIX seconds) comes from the workflow, so that a retry writes the same value."""

    conversation: Conversation
    message: str
    reply: str
    created_at: float


@dataclass(frozen=True, slots=True)
class OutgoingReply:
    """A reply to send through LangBot."""

    target: ReplyTarget
    text: str
