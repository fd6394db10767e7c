"""Send one message through the bot's API, and retry as long as that can help.

The message carries an id, so it is safe to send it again: the API starts it only once. An event that could not be taken
is never answered later (LangBot's own pipeline does that), so it is sent again as a new one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from mika.address import is_loopback
from mika.config.load import Config
from mika.diagnosis.commands import for_workflow
from mika.errors import MikaError, NotRunningError, UsageError
from mika.frozen import frozen
from mika.machine import http, ports
from mika.readiness import webhook
from mika.stack.api import check_whose_port, said
from mika.status import Phase, StackStatus, UnitStatus
from mika.wording import _

FIRST_PAUSE, LAST_PAUSE = 0.2, 2.0
"""Seconds between two attempts: short at first, because a restarted worker is back at once, then longer, because each
request is a line in the API's log."""

_REQUEST_TIMEOUT = 10.0
_MAX_REPLY = 8_000_000  # bytes
_SHOWN = 80  # bytes of an answer that nobody understands
_TEMPORARY = {
    "no_worker": "worker",
    "worker_unresponsive": "worker",
    "temporal_unavailable": "temporal",
    "api_stopping": "api",
    "already_answered": "temporal",  # an event that came again before the first answer to it
}
"""Problems and causes that disappear when the named unit is back."""
_PERMANENT = {"wrong_task_queue", "wrong_namespace", "workflow_task_failing"}  # waiting does not help


@frozen
class Reply:
    """The bot's reply. `delivery` is how far it came on its way to the chat, if the API says so."""

    response: str
    workflow_id: str
    delivery: str = ""
    detail: str = ""


def send(
    text: str,
    *,
    user: str,
    group: str | None,
    bot: str | None = None,
    config: Config,
    status: Callable[[], StackStatus],
    timeout: float,
    say: Callable[[str], None],
) -> Reply:
    """Send `text` and return the reply. Waits for up to `timeout` seconds, and reports through `say` what it waits for.

    With `bot`, the message is an event, as LangBot pushes it for the bot of that id.

    `status` requests the status from the supervisor of this folder; it raises NotRunningError if there is none.
    Raises UsageError for an empty message, NotRunningError if nothing can answer it, and MikaError with the error of
    the API, or with the reason why it does not answer.
    """
    if not text.strip():
        raise UsageError(_("the message is empty"), _('write one: mika send "hello"'))
    check_whose_port(config)
    if bot is not None:
        return _Sender(
            lambda: langbot_event(text, user=user, group=group, bot=bot), config, status, timeout, say
        ).reply()
    message: dict[str, Any] = {"user_id": user, "message": text, "message_id": uuid.uuid4().hex}
    if group is not None:
        message["group_id"] = group
    return _Sender(lambda: message, config, status, timeout, say).reply()


class _Sender:
    """One message until its reply."""

    def __init__(
        self,
        make_message: Callable[[], dict[str, Any]],
        config: Config,
        status: Callable[[], StackStatus],
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        self._make_message, self._message = make_message, make_message()
        self._config, self._status, self._say = config, status, say
        self._url = config.api_url
        self._headers = webhook.secret_header(config)
        self._timeout, self._deadline = timeout, time.monotonic() + timeout
        self._workflow_id = ""
        self._cause = ""
        self._said: set[str] = set()

    def reply(self) -> Reply:
        pause = FIRST_PAUSE
        while True:
            answer = self._ask()
            if answer.kind == "http":
                if (reply := self._reply(answer)) is not None:
                    return reply
                problem = self._not_yet(answer)
            elif answer.kind == "silent" and self._is_healthy():
                self._say_once(_("No reply yet; waiting for it"))
                problem = self._no_reply()
            else:
                problem = self._unreachable(answer)
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise problem
            time.sleep(min(pause, remaining))
            pause = min(pause * 1.5, LAST_PAUSE) if answer.kind == "http" else FIRST_PAUSE

    def _ask(self) -> http.Answer:
        """Send the message, or, once the API has accepted it, request the status of its workflow."""
        timeout = max(1.0, min(_REQUEST_TIMEOUT, self._deadline - time.monotonic()))
        if self._workflow_id:
            return self._request("GET", f"/workflows/{self._workflow_id}", timeout)
        return self._request("POST", webhook.PATH, timeout, self._message)

    def _request(self, method: str, path: str, timeout: float, payload: object = None) -> http.Answer:
        return http.request(
            method,
            f"{self._url}{path}",
            proxies=http.DIRECT,
            timeout=timeout,
            payload=payload,
            headers=self._headers,
            max_body=_MAX_REPLY,
        )

    def _is_healthy(self) -> bool:
        return (self._request("GET", "/healthz", 2.0)).status == 200

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(_("{text} (up to {seconds:g} s).", text=text, seconds=self._timeout))

    # --- the API answers ---------------------------------------------------------------------------------------------

    def _reply(self, answer: http.Answer) -> Reply | None:
        body = answer.json
        if answer.status != 200 or body.get("status", "ok") not in ("ok", "completed") or not body.get("response"):
            return None
        delivery, detail = said(body.get("delivery")), said(body.get("detail"))
        if "event_type" in self._message and not delivery:  # only a reply that LangBot was asked to send has one
            is_set = self._config.text("LANGBOT_API_BASE_URL")
            lack = (
                _("LANGBOT_API_BASE_URL was not set when this API started, so the reply cannot reach a chat")
                if is_set
                else _("LANGBOT_API_BASE_URL is not set, so the reply cannot reach a chat")
            )
            delivery, detail = "none", detail or lack
        return Reply(str(body["response"]), str(body.get("workflow_id") or self._workflow_id), delivery, detail)

    def _not_yet(self, answer: http.Answer) -> MikaError:
        """The error to raise at the deadline. If waiting cannot help, it is raised at once."""
        body = answer.json
        # An event is answered as soon as it is taken; its reply is then that of the workflow.
        is_event = "event_type" in self._message
        is_taken, is_refused = (is_event and body.get("success") is success for success in (True, False))
        is_running = (
            answer.status == 200 and (is_taken or body.get("status") == "running") and bool(body.get("workflow_id"))
        )
        code, cause = str(body.get("code") or ""), str(body.get("cause") or "")
        if not is_running and (code not in _TEMPORARY or (is_refused and body.get("skip_pipeline") is True)):
            raise self._final(answer)
        if is_refused:
            self._message = self._make_message()
        else:
            self._workflow_id = self._workflow_id or str(body.get("workflow_id") or "")
        stuck = _("the message is kept, and not answered ({cause})", cause=cause)
        problem = MikaError(stuck, _hint(body, self._workflow_id), code=cause) if is_running else _problem(body)
        if cause in _PERMANENT:
            raise problem
        name = _TEMPORARY.get(code) or _TEMPORARY.get(cause)
        if name and (start_hint := self._start_hint(name)):
            problem.hint = self._with_what_then(start_hint)
            raise problem
        if not is_running:
            self._say_once(_("{problem} Waiting for it", problem=body.get("detail") or code))
        elif cause not in ("", self._cause):
            self._say_once(_("Still no reply ({cause}): {fix}; waiting", cause=cause, fix=body.get("fix")))
        self._cause = cause
        return self._no_reply(body) if is_running else problem

    def _with_what_then(self, start_hint: str) -> str:
        """A message without a worker is kept for a while."""
        if not self._workflow_id:
            return _("{start}; then send it again", start=start_hint)
        return _(
            "{start}; then the message is answered, if within {seconds:g} s of its arrival (WORKFLOW_RUN_TIMEOUT)",
            start=start_hint,
            seconds=self._config.number("WORKFLOW_RUN_TIMEOUT"),
        )

    def _final(self, answer: http.Answer) -> MikaError:
        """The error for an answer that will not change."""
        body = answer.json
        status, workflow_id = str(body.get("status")), str(body.get("workflow_id") or "")
        if answer.status == 200 and "event_type" in self._message and body.get("skip_pipeline") is False:
            text = _("the bot does not answer this, and leaves it to LangBot{reason}", reason=_because(body))
            hint = said(body.get("fix")) or _("`mika logs api` may say more")
            return MikaError(text, hint, code="left_to_langbot")
        if answer.status == 200 and workflow_id and status in ("ok", "completed") and "response" in body:
            return MikaError(_("the reply is empty"), _hint(body, workflow_id), code="empty_reply")
        if answer.status == 200 and workflow_id and (ending := _ended(status, body)):
            return MikaError(ending, _hint(body, workflow_id), code=status)
        if _is_problem(body):
            return _problem(body)
        return self._not_the_webhook(answer)

    def _not_the_webhook(self, answer: http.Answer) -> MikaError:
        """What answers is another API, of this project or not."""
        answered = f"{answer.status} {answer.reason}".rstrip() + _shown(answer.body)
        values = {"url": self._url, "answered": answered, "path": webhook.PATH}
        is_fault = answer.status >= 500 and answer.status != HTTPStatus.NOT_IMPLEMENTED  # of a proxy?
        text = (
            _("{url} answers {answered} to POST {path}, not as the bot's API does", **values)
            if is_fault
            else _("{url} answers {answered} to POST {path}: this API does not speak the LangBot webhook", **values)
        )
        host, port = self._config.text("API_HOST"), self._config.port("API_PORT")
        owner = ports.find_listener(host, port) if is_loopback(host) else None
        if owner is not None and owner.stack is not None and owner.stack == self._config.project:
            fix = _("`mika send` is for the bot's API; `mika workflows` lists what your own API starts")
            return MikaError(text, fix, code="no_webhook")
        if owner is not None:
            program = ports.describe_listener(owner)
            text = text + _("; port {port} (API_PORT) is held by {program}", port=port, program=program)
        fix = _("`mika doctor` says more; the API is looked for at API_HOST:API_PORT")
        return MikaError(text, fix, code="no_webhook")

    def _no_reply(self, body: dict[str, Any] | None = None) -> MikaError:
        hint = _hint(body, self._workflow_id) if body else _("`mika status` shows the stack")
        return MikaError(_("no reply within {seconds:g} s", seconds=self._timeout), hint, code="no_reply")

    # --- the API does not answer -------------------------------------------------------------------------------------

    def _unreachable(self, answer: http.Answer) -> MikaError:
        """The error to raise at the deadline. Waiting helps only if a supervisor will restart the API.

        Raises NotRunningError if there is no supervisor and nothing listens on the port. Raises MikaError if there is
        no supervisor and a program that does not speak HTTP listens, if the stack has no API, or if its API will not be
        restarted.
        """
        problem = MikaError(
            _("the API at {url} does not answer: {why}", url=self._url, why=answer.reason),
            _("`mika doctor` says what listens there"),
            code="api_unreachable",
        )
        try:
            status = self._status()
        except NotRunningError as error:
            if answer.kind != "refused":
                raise problem from None
            text = _("{problem}, and nothing answers at {url}", problem=error.message, url=self._url)
            raise NotRunningError(text, error.hint) from None
        except MikaError:  # the stack is starting or stopping
            status = None
        if status is not None:
            units = self._units(status, "api")
            if not units or self._listen_elsewhere(units):
                raise self._no_api(answer)
            if start_hint := _start_hint(units):
                problem.hint = start_hint
                raise problem
        self._say_once(_("The API does not answer; waiting for it"))
        return problem

    def _listen_elsewhere(self, units: Sequence[UnitStatus]) -> bool:
        port = f":{urlsplit(self._url).port}"
        listens = [place for unit in units if unit.is_ready for place in unit.listens]
        return bool(listens) and not any(place.endswith(port) for place in listens)

    def _no_api(self, answer: http.Answer) -> MikaError:
        return MikaError(
            _(
                "`mika send` is for the bot's API, and the running stack has none at {url}: {why}",
                url=self._url,
                why=answer.reason,
            ),
            _(
                "set API_HOST and API_PORT to where it is;"
                " if this stack was started without it, `mika down`, then `mika up`"
            ),
            code="no_api",
        )

    def _start_hint(self, name: str) -> str:
        """How to start `name` again; empty if it is running, or will be restarted."""
        try:
            return _start_hint(self._units(self._status(), name))
        except MikaError:  # without a supervisor, a user may start it by hand; or the stack is starting
            return ""

    def _units(self, status: StackStatus, name: str) -> Sequence[UnitStatus]:
        """The units with such an address. If there are none, those of that name or type."""
        address = {"api": self._url, "worker": "worker:"}.get(name)
        return [p for p in status.processes if address and p.address.startswith(address)] or status.matching(name)


def langbot_event(text: str, *, user: str, group: str | None, bot: str) -> dict[str, Any]:
    """What LangBot posts to its webhooks when `user` says `text`."""
    now, number = time.time(), uuid.uuid4().int % 2**31
    source = {"type": "Source", "id": number, "timestamp": int(now)}
    data: dict[str, Any] = {
        "bot_uuid": bot,
        "adapter_name": "AiocqhttpAdapter",
        "sender": {"id": user, "name": ""},
        "message": [source, {"type": "Plain", "text": text}],
        "timestamp": now,
    }
    if group is not None:
        data["group"] = {"id": group, "name": ""}
    kind = "person" if group is None else "group"
    return {"uuid": str(uuid.uuid4()), "event_type": f"bot.{kind}_message", "data": data}


def _ended(status: str, body: dict[str, Any]) -> str:
    """That the workflow has not completed, and why; empty for any other status."""
    error = body.get("error")
    detail = error.get("detail") if isinstance(error, dict) else error
    why = detail or _("no reason is known")
    match status:
        case "failed":
            return _("the workflow failed: {why}", why=why)
        case "timed_out":
            return _("the workflow timed out: {why}", why=why)
        case "canceled":
            return _("the workflow was canceled: {why}", why=why)
        case "terminated":
            return _("the workflow was terminated: {why}", why=why)
    return ""


def _because(body: dict[str, Any]) -> str:
    reason = body.get("detail") or body.get("reason")
    return _(": {reason}", reason=reason) if isinstance(reason, str) and reason else ""


def _start_hint(units: Sequence[UnitStatus]) -> str:
    if not units or not all(unit.is_at_rest for unit in units):
        return ""
    name = units[0].name if len(units) == 1 else units[0].type
    if units[0].has_given_up:
        return _(
            "{name} gave up: {reason} (`mika logs {name}` says more); then `mika restart {name}`",
            name=name,
            reason=units[0].reason,
        )
    if units[0].phase is Phase.STOPPED:
        return _("{name} is stopped: `mika start {name}`", name=name)
    return _("{name} has exited: `mika start {name}`", name=name)


def _is_problem(body: dict[str, Any]) -> bool:
    """Whether it is one of the errors that docs/http-api.md lists, and not something else that has a `code`."""
    return isinstance(body.get("code"), str) and isinstance(body.get("detail") or body.get("title"), str)


def _shown(body: bytes) -> str:
    """The beginning of an answer, if it is text."""
    text = " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
    return f" ({text}{'…' if len(body) > _SHOWN else ''})" if text.isprintable() and text else ""


def _problem(body: dict[str, Any]) -> MikaError:
    """The error for a problem+json answer of the API."""
    detail = body.get("detail") or body.get("title") or body["code"]
    hint = _hint(body, body["workflow_id"]) if body.get("workflow_id") else _("`mika logs` says more")
    return MikaError(_("the API answered: {detail}", detail=detail), hint, code=str(body["code"]))


def _hint(body: dict[str, Any], workflow_id: str) -> str:
    """The cause and the fix, if the API reports them, and the command that shows more."""
    cause, fix = body.get("cause"), said(body.get("fix"))
    error = body.get("error")
    detail = said(body.get("detail") or (error.get("detail") if isinstance(error, dict) else ""))
    is_in_detail = fix[1:] in detail  # without the first letter, which is a capital in the detail
    command = for_workflow("doctor --workflow", workflow_id)
    if not fix or is_in_detail:
        return _("{command} shows its history", command=command)
    return _("{cause}: {fix}; {command} shows its history", cause=cause, fix=fix, command=command)
