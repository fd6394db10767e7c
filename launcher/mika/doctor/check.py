"""What a check finds."""

from __future__ import annotations

from typing import Any, Literal

from mika.frozen import frozen
from mika.reason import Reason, Repair
from mika.wording import Text, _

Status = Literal["ok", "warn", "fail", "skip"]
_LONGEST = 300
"""Characters of a finding that are shown: it may quote what a server or a program wrote."""


@frozen
class Check:
    """One line of the checklist."""

    id: str
    status: Status
    reason: Reason
    because: str = ""
    """The check to fix first, if this one is only a consequence of it (then it is `skip`)."""
    unit: str = ""
    """The unit that `reason` is about, if the supervisor gave that reason."""
    unanswered: bool = False
    """Temporal did not answer what this check asked."""
    unknown: bool = False
    """It could not be checked in time, or at all."""

    @property
    def finding(self) -> str:
        text = self.reason.text
        return Text(text[:_LONGEST], f"{{text:.{_LONGEST}}}", {"text": text})  # a translation, too, is cut

    @property
    def fix(self) -> str:
        return self.reason.fix

    @property
    def repair(self) -> Repair | None:
        return self.reason.repair

    def as_json(self) -> dict[str, Any]:
        result = {"id": self.id, "status": self.status, "finding": self.finding, "fix": self.fix}
        result |= {"because": self.because} if self.because else {}
        return result | ({"checked": False} if self.unknown else {})


@frozen
class Report:
    """All checks, in the order in which to fix them."""

    checks: tuple[Check, ...]
    is_down: bool = False
    """Nothing of the project runs, started by `mika up` or by hand."""

    @property
    def in_the_way(self) -> tuple[Check, ...]:
        """What is wrong besides that nothing runs."""
        return tuple(
            check
            for check in self.checks
            if check.status in ("fail", "warn") and (check.repair is None or check.repair.action != "up")
        )

    @property
    def ok(self) -> bool:
        return not self.ids("fail")

    def ids(self, status: Status) -> list[str]:
        return [check.id for check in self.checks if check.status == status]

    def as_json(self) -> dict[str, Any]:
        return {"version": 1, "ok": self.ok, "checks": [check.as_json() for check in self.checks]}


def one_line(value: object) -> str:
    """What an API says, which may be anything; a text of mika's own bot stays one, so it can be translated."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.split())
    return value if value == line else line


def ok(check_id: str, text: str) -> Check:
    return Check(check_id, "ok", Reason(text))


def warn(check_id: str, text: str, fix: str, repair: Repair | None = None) -> Check:
    return Check(check_id, "warn", Reason(text, fix, repair))


def fail(check_id: str, text: str, fix: str, repair: Repair | None = None) -> Check:
    return Check(check_id, "fail", Reason(text, fix, repair))


def unknown(check_id: str, why: str, fix: str) -> Check:
    """It could not be checked. That is no failure, and not well either."""
    return Check(check_id, "warn", Reason(_("could not be checked: {why}", why=why), fix), unknown=True)


def skipped(check_id: str, text: str, because: str = "") -> Check:
    """A consequence of the check `because`; without it, there is nothing to check."""
    return Check(check_id, "skip", Reason(text), because)
