"""Show or forget what the bot keeps of a user, through the bot's API: only the bot knows under which names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from urllib.parse import quote, urlencode

from mika.config.load import Config
from mika.errors import MikaError
from mika.frozen import frozen
from mika.stack.api import ask
from mika.wording import _

_TIMEOUT = 15.0
_MAX_BODY = 64_000_000  # bytes


@frozen
class Turn:
    """A message and its reply. `at` is a time in ISO 8601; `message_type` is `private` or `group`."""

    message: str
    reply: str
    at: str
    message_type: str


def show(config: Config, user: str, group: str | None) -> list[Turn]:
    """All that is kept of `user`, or only of one group, oldest first. Raises MikaError, NotRunningError."""
    turns = _ask(config, "GET", user, group).get("turns")
    if not isinstance(turns, list):
        raise _no_such_route(config, _("another answer"))
    names = [item.name for item in fields(Turn)]
    return [Turn(**{name: str(turn.get(name, "")) for name in names}) for turn in turns]


def forget(config: Config, user: str, group: str | None) -> int:
    """Delete that. Returns how many turns it was. Raises MikaError, NotRunningError."""
    count = _ask(config, "DELETE", user, group).get("forgotten")
    if not isinstance(count, int):
        raise _no_such_route(config, _("another answer"))
    return count


def _ask(config: Config, method: str, user: str, group: str | None) -> dict[str, Any]:
    query = f"?{urlencode({'group_id': group})}" if group is not None else ""
    path = f"/history/{quote(user, safe='')}{query}"
    answer = ask(config, method, path, timeout=_TIMEOUT, own_header=True, max_body=_MAX_BODY)
    body = answer.json
    if answer.status == 200:
        return body
    code, detail = body.get("code"), body.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str) or answer.status in {404, 405, 501}:
        raise _no_such_route(config, f"{answer.status} {answer.reason}".rstrip())
    fix = _("set WEBHOOK_SECRET as the API has it") if code == "unauthorized" else _("`mika logs` says more")
    raise MikaError(_("the API answered: {detail}", detail=detail), fix, code=code)


def _no_such_route(config: Config, answered: str) -> MikaError:
    text = _("the API at {url} has no /history/USER: {answered}", url=config.api_url, answered=answered)
    fix = _("`mika history` needs an API that has it, as this repository's bot does")
    return MikaError(text, fix, code="no_history")
