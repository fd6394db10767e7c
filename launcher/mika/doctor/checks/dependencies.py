"""What else the API says that it depends on: each a line of its own, in the API's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mika.doctor.check import Check, fail, ok, one_line, skipped, warn
from mika.doctor.examination import Examination
from mika.wording import _

_OF_OTHER_CHECKS = {"temporal", "worker", "history"}  # which compare them with what is here
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


async def dependencies(exam: Examination) -> Sequence[Check]:
    """A line for each part of `/readyz` that has a `state` and that no other check is about."""
    found = await exam.dependencies()
    checks = [
        _check(name, part)
        for name, part in found.items()
        if name not in _OF_OTHER_CHECKS and _NAME.fullmatch(name) and isinstance(part, dict) and "state" in part
    ]
    if "langbot" not in found and not exam.config.text("LANGBOT_API_BASE_URL") and await exam.is_bot():
        checks.append(skipped("langbot", _("LANGBOT_API_BASE_URL is not set: no reply can reach a chat of LangBot")))
    return checks


def _check(name: str, part: dict[str, Any]) -> Check:
    detail, fix = one_line(part.get("detail")), one_line(part.get("fix"))
    detail = detail or _("{name} is {state}", name=name, state=one_line(part["state"]))
    if part["state"] != "ready":
        return fail(name, detail, fix or _("`mika logs api` may say more"))
    return warn(name, detail, fix) if fix else ok(name, detail)
