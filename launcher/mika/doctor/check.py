"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mika.reason import Repair

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Check:
    """`because`: the check that must be mended first, when this one is only its consequence (then it is `skip`)."""

    id: str
    status: Status
    finding: str
    fix: str = ""
    because: str = ""
    repair: Repair | None = None

    def as_dict(self) -> dict[str, Any]:
        found = {"id": self.id, "status": self.status, "finding": self.finding, "fix": self.fix}
        return found | ({"because": self.because} if self.because else {})


@dataclass(frozen=True, slots=True)
class Report:
    """All checks, in the order in which a person should mend them."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.status != "fail" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {"version": 1, "ok": self.ok, "checks": [check.as_dict() for check in self.checks]}


def skipped(check_id: str, because: str, finding: str) -> Check:
    """A consequence of another check, or one that the other makes impossible."""
    return Check(check_id, "skip", finding, because=because)
