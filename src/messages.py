"""What travels between the API, the workflow and its activities: plain data, stored readably in Temporal's history.

No secret may ever be put in here.
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
    """Where LangBot's service API is to send the reply to; `target_type` is `person` or `group`."""

    bot_uuid: str
    target_type: str
    target_id: str


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message from a user; `group_id` is empty in a private chat, `reply_to` only for a webhook event."""

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
    """One exchange of the past."""

    message: str
    reply: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """One user, alone or in one group."""

    user_id: str
    group_id: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is asked."""

    message: str
    history: list[Turn]


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What is stored; `created_at` (POSIX seconds) comes from the workflow, so that a retry writes the same."""

    conversation: Conversation
    message: str
    reply: str
    created_at: float


@dataclass(frozen=True, slots=True)
class OutgoingReply:
    """What is sent through LangBot."""

    target: ReplyTarget
    text: str
