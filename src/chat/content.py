"""What a chat message contains, whichever door it came through."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.intake.problems import Problem
from src.intake.simple import MAX_MESSAGE_BYTES

MAX_NOTE = 200
"""Characters of a name that somebody else chose, such as a file's."""
MAX_DEPTH = 5
"""Of messages inside messages: quotes of quotes, forwarded forwards."""
MAX_PARTS = 5000
"""Components or segments of one message, with those of the messages inside it."""


@dataclass(frozen=True, slots=True)
class Mention:
    """An @ of one account. `shown` is its name, or empty."""

    account: str
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image: its address on the web, or (part of) a base64 text; one of the two may be empty."""

    url: str = ""
    base64: str = ""


@dataclass(slots=True)
class Room:
    """What a message and those inside it may still have. Asked before anything is joined, hashed or searched."""

    parts: int = MAX_PARTS
    characters: int = MAX_MESSAGE_BYTES

    def take(self, *, parts: int = 0, characters: int = 0) -> None:
        """Raises `Problem` (`message_too_large`)."""
        self.parts -= parts
        self.characters -= characters
        if self.parts < 0:
            raise Problem("message_too_large", f"The message has more than {MAX_PARTS} parts.")
        if self.characters < 0:
            raise Problem("message_too_large", f"The message has more than {MAX_MESSAGE_BYTES} bytes of text.")


@dataclass(slots=True)
class Content:
    """Filled in the order of the message, by `components.py` and `segments.py`."""

    room: Room = field(default_factory=Room)
    parts: list[str | Mention] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What the user typed."""
    pictures: list[Picture] = field(default_factory=list)
    quoted_id: str = ""
    """The id of the message that this one replies to."""
    quoted_sender: str = ""
    """Who wrote that message."""
    skipped: list[str] = field(default_factory=list)
    """Types of components that nobody here knows."""

    def type(self, text: str) -> None:
        """Raises `Problem` (`message_too_large`)."""
        self.room.take(characters=len(text))
        self.parts.append(text)
        self.said.append(text)

    def mention(self, account: str, shown: str = "") -> None:
        self.parts.append(Mention(account, shown[:MAX_NOTE]))

    def note(self, text: str) -> None:
        """Something that is not text, in words: the model reads it in brackets."""
        self.parts.append(f"[{text}]")

    def picture(self, picture: Picture) -> None:
        self.pictures.append(picture)
        self.note("image")

    @property
    def mentions(self) -> set[str]:
        return {part.account for part in self.parts if isinstance(part, Mention)}

    @property
    def typed(self) -> str:
        return "".join(self.said).strip()

    def text(self, own_accounts: frozenset[str] = frozenset()) -> str:
        """What the model reads. An @ of the bot itself says nothing, and is left out."""
        shown = []
        for part in self.parts:
            if isinstance(part, str):
                shown.append(part)
            elif part.account not in own_accounts:
                shown.append(f"@{part.shown or part.account} ")
        return "".join(shown).strip()


def short(value: object) -> str:
    """A name or an id as a short text that any screen can show; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        text = " ".join(str(value)[: 10 * MAX_NOTE].split())[:MAX_NOTE]
    except ValueError:  # a number with thousands of digits
        return ""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def text_of(value: object) -> str:
    """A text; empty for anything else."""
    return value if isinstance(value, str) else ""
