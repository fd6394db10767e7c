"""Why something is as it is, as data. Text and fix are joined only where a person reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

RepairAction = Literal["start", "restart", "namespace", "sweep", "up"]


@dataclass(frozen=True, slots=True)
class Repair:
    """What `mika doctor --fix` may do: start or restart a unit, create a namespace, end left-overs, start the stack."""

    action: RepairAction
    target: str = ""

    @property
    def is_safe(self) -> bool:
        """Done without a question: it only brings back what the project's own files ask for."""
        return self.action != "up"

    def __str__(self) -> str:
        match self.action:
            case "namespace":
                return f"create the namespace {self.target}"
            case "sweep":
                return "end what a killed run left behind"
            case "up":
                return "start the stack (`mika up -d`)"
        return f"{self.action} {self.target}"


@dataclass(frozen=True, slots=True)
class Reason:
    """What is the case, and where something can be done about it, what. `fix` is empty where nothing is known."""

    text: str
    fix: str = ""
    repair: Repair | None = None

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        """For people; no code reads it."""
        return f"{self.text}: {self.fix}" if self.fix else self.text

    def within(self, context: str) -> Self:
        """The same reason, with what it is about in front."""
        return type(self)(f"{context}: {self.text}" if self.text else context, self.fix, self.repair)

    def as_json(self) -> dict[str, Any]:
        """`text`, and `fix` and `repair` where there are any."""
        found: dict[str, Any] = {"text": self.text}
        if self.fix:
            found["fix"] = self.fix
        if self.repair is not None:
            found["repair"] = {"action": self.repair.action, "target": self.repair.target}
        return found

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises KeyError or TypeError for what `as_json` did not write."""
        repair = value.get("repair")
        return cls(
            str(value["text"]),
            str(value.get("fix", "")),
            Repair(repair["action"], str(repair["target"])) if repair is not None else None,
        )


NONE = Reason("")
