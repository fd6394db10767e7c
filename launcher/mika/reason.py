"""The reason for a state, as data. The text and the fix are joined only when they are shown to a user."""

from __future__ import annotations

from typing import Literal, Self

from mika.decoded import Json
from mika.frozen import frozen
from mika.wording import _

RepairAction = Literal["start", "restart", "namespace", "sweep", "up"]


@frozen
class Repair:
    """What `mika doctor --fix` can do: start or restart a unit, create a namespace, stop leftovers, start the stack."""

    action: RepairAction
    target: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether it is done without a confirmation, because it only restores what the project's files define."""
        return self.action != "up"

    def __str__(self) -> str:
        match self.action:
            case "namespace":
                return _("create the namespace {name}", name=self.target)
            case "sweep":
                return _("stop what an earlier run left behind")
            case "up":
                return _("start the stack (`mika up -d`)")
            case "start":
                return _("start {name}", name=self.target)
            case "restart":
                return _("restart {name}", name=self.target)


@frozen
class Reason:
    """The reason for a state, and how to fix it. `fix` is empty if no fix is known."""

    text: str
    fix: str = ""
    repair: Repair | None = None

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        """For users only; no code parses it. It is a `Text`, so `str(reason)` can be translated."""
        return _("{text}: {fix}", text=self.text, fix=self.fix) if self.fix else self.text

    def within(self, context: str) -> Self:
        """The same reason with `context` in front of its text."""
        text = _("{context}: {text}", context=context, text=self.text) if self.text else context
        return type(self)(text, self.fix, self.repair)

    def as_json(self) -> dict[str, object]:
        """An object with `text`, and with `fix` and `repair` if they are set."""
        value: dict[str, object] = {"text": self.text}
        if self.fix:
            value["fix"] = self.fix
        if self.repair is not None:
            value["repair"] = {"action": self.repair.action, "target": self.repair.target}
        return value

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Raises KeyError or TypeError if `value` does not come from `as_json`."""
        repair = value.get("repair")
        return cls(
            _as_text(value["text"]),
            _as_text(value.get("fix", "")),
            Repair(repair["action"], str(repair["target"])) if repair is not None else None,
        )


def _as_text(value: object) -> str:
    """Not `str()` of a text: that forgets how to translate it."""
    return value if isinstance(value, str) else str(value)


NONE = Reason("")
