"""Ask the API why it did not answer a message. Any API may have this route: `GET /silent?id=…&text=…`."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from mika.config.load import Config
from mika.diagnosis.commands import for_workflow
from mika.errors import MikaError
from mika.frozen import frozen
from mika.machine import http
from mika.stack.api import ask, said
from mika.wording import _, joined

_PATH = "/silent"
_TIMEOUT = 5.0


@frozen
class Heard:
    """One message that reached the API. `finding` says what became of it, and `fix` what to do; it may be empty."""

    at: str
    door: str
    taken: bool
    finding: str
    fix: str
    reason: str
    workflow_id: str


def why_silent(what: str, config: Config) -> list[Heard]:
    """What the API remembers of a message, newest first. `what` is an id of it, or all of its text.

    Raises NotRunningError if nothing answers and no stack is running, and MikaError if there is no such message or no
    such route.
    """
    answer = ask(config, "GET", f"{_PATH}?{urlencode({'id': what, 'text': what})}", timeout=_TIMEOUT)
    found = answer.json.get("found")
    if answer.status != HTTPStatus.OK or not isinstance(found, list):
        raise _no_such_route(config, answer)
    heard = [_heard(config, entry) for entry in found if isinstance(entry, dict)]
    if not heard:
        since, count = answer.json.get("since"), answer.json.get("remembered")
        raise MikaError(
            _(
                "the API remembers no such message of a chat: it remembers {count} since {time}",
                count=count,
                time=_local(since),
            ),
            _(
                "give the whole text as it was sent, or the message's id; if that is right, what passes messages on did"
                " not pass on this one"
            ),
            code="unknown_message",
        )
    return heard


def _heard(config: Config, entry: dict[str, Any]) -> Heard:
    workflow_id = str(entry.get("workflow_id") or "")
    taken = bool(entry.get("taken"))
    finding, fix = said(entry.get("detail")), said(entry.get("fix"))
    if taken:
        finding, fix = _of_workflow(config, workflow_id)
    reason = str(entry.get("reason") or "")
    return Heard(_local(entry.get("at")), str(entry.get("door") or ""), taken, finding, fix, reason, workflow_id)


def _of_workflow(config: Config, workflow_id: str) -> tuple[str, str]:
    """It was taken, so its workflow knows the rest: what it says, and what to do."""
    body = ask(config, "GET", f"/workflows/{quote(workflow_id, safe='')}", timeout=_TIMEOUT).json
    status = str(body.get("status") or "unknown")
    error = body.get("error")
    says = [
        _("delivery {state}", state=body["delivery"]) if body.get("delivery") else "",
        str(body.get("cause") or ""),
        said(body.get("detail") or (error.get("detail") if isinstance(error, dict) else "")),
    ]
    finding = _("its workflow {id} is {status}", id=workflow_id, status=status)
    more = joined(_("; "), (part for part in says if part))
    command = for_workflow("doctor --workflow", workflow_id)
    fix = said(body.get("fix")) or _("{command} says more", command=command)
    return _("{finding} ({more})", finding=finding, more=more) if more else finding, fix


def _no_such_route(config: Config, answer: http.Answer) -> MikaError:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        hint = _("set WEBHOOK_SECRET to the one it has")
        return MikaError(_("the API asks for a secret"), hint, code="unauthorized")
    return MikaError(
        _(
            "{url} answers {status} to GET {path}: this API does not say why it is silent",
            url=config.api_url,
            status=answer.status,
            path=_PATH,
        ),
        _("`mika logs` may; the API is looked for at API_HOST:API_PORT"),
        code="no_route",
    )


def _local(value: object) -> str:
    """A time of day here, with its date if that is not today's."""
    try:
        at = datetime.fromisoformat(str(value)).astimezone()
    except ValueError:
        return _("an unknown time")
    today = datetime.now().astimezone().date()
    return at.strftime("%H:%M:%S" if at.date() == today else "%Y-%m-%d %H:%M:%S")
