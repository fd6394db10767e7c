"""The data that the API, the workflow and its activities exchange. Temporal's history stores it as readable text.

So it must never contain a secret.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Literal

WORKFLOW = "ProcessMessageWorkflow"
SEND_WORKFLOW = "SendReplyWorkflow"
LOAD_HISTORY = "load_history"
ASK_LLM = "ask_llm"
SAVE_TURN = "save_turn"
SEND_REPLY = "send_reply"


SEND_PATIENCE = 600.0
"""Default of `LANGBOT_SEND_PATIENCE`, in seconds."""

Delivery = Literal["none", "sent", "maybe_sent", "refused", "waiting"]
"""What became of a reply that the workflow sends.

- `none`: it sends none; the caller of the API has it, or LangBot's own pipeline answers.
- `sent`: it is in the chat.
- `maybe_sent`: nobody can know, so it was not sent again.
- `refused`: it is surely not in the chat, and no longer tried.
- `waiting`: `SendReplyWorkflow` tries on, or finds out that an attempt was cut off.
"""


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """Where the reply should be sent; `target_type` is `person` or `group`, `door` is `langbot` or `onebot`."""

    bot_uuid: str
    target_type: str
    target_id: str
    door: str = "langbot"


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message from a user. `group_id` is empty in a private chat.

    `reply_to` is only set where the workflow sends the reply, and `send_patience` says for how long it may try, in
    seconds. `images` are references, never the bytes.
    """

    user_id: str
    message: str
    group_id: str = ""
    reply_to: ReplyTarget | None = None
    images: list[str] = field(default_factory=list)
    send_patience: float = SEND_PATIENCE

    @property
    def message_type(self) -> str:
        return "group" if self.group_id else "private"


@dataclass(frozen=True, slots=True)
class Reply:
    """The workflow's result. `detail` says why, if the reply was not sent or is not the model's."""

    response: str
    delivery: Delivery = "none"
    detail: str = ""


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
    """What is asked of the model. It is told the earlier turns of `conversation`, too.

    `history`: of a workflow that was started when another step still read the turns, and Temporal stored them twice.
    """

    message: str
    history: list[Turn] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What is stored. `created_at` (POSIX seconds) comes from the workflow, so that a retry writes the same value."""

    conversation: Conversation
    message: str
    reply: str
    created_at: float


@dataclass(frozen=True, slots=True)
class OutgoingReply:
    """A reply to send. `message_id`: the id of the workflow that made it, under which what was sent is marked.

    With `last_call` nothing is sent any more: it only asks what became of it, and closes it.
    """

    target: ReplyTarget
    text: str
    message_id: str
    last_call: bool = False


@dataclass(frozen=True, slots=True)
class SendLater:
    """The input of `SendReplyWorkflow`. `delay` and `patience` are in seconds."""

    reply: OutgoingReply
    delay: float = 0.0
    patience: float = SEND_PATIENCE


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an `OutgoingReply`. `detail` says why, if it was not simply sent."""

    delivery: Delivery
    detail: str = ""


def workflow_id_for(incoming: IncomingMessage, message_id: str) -> str:
    """The same id for the same message, or a random one without a `message_id`. Contains no account number."""
    if not message_id:
        return f"process_message_{uuid.uuid4().hex}"
    key = f"{incoming.user_id}\0{incoming.group_id}\0{message_id}"
    return f"process_message_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def send_workflow_id(message_id: str) -> str:
    """The id of the `SendReplyWorkflow` of a message's workflow."""
    return f"{message_id}/send"
