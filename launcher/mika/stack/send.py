"""One message through the bot's API, with patience where patience helps.

The message carries an id, which makes every attempt safe: the API starts it once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mika.address import is_loopback
from mika.config.load import Config
from mika.errors import MikaError, NotRunningError, UsageError
from mika.machine import http, ports
from mika.project.folder import ProjectDir
from mika.status import Phase, StackStatus, UnitStatus

FIRST_PAUSE, LAST_PAUSE = 0.2, 2.0
"""Seconds between two questions: a worker that is restarted is back at once, and each question is a line in a log."""

_REQUEST_TIMEOUT = 10.0
_MAX_REPLY = 8_000_000  # bytes
_MAY_PASS = {
    "no_worker": "worker",
    "worker_unresponsive": "worker",
    "temporal_unavailable": "temporal",
    "api_stopping": "api",
}
"""Problems and causes that pass when that unit is back."""
_NO_USE_WAITING = {"wrong_task_queue", "wrong_namespace", "workflow_task_failing"}  # somebody must fix these

_ENDS = {"timed_out": "timed out", "canceled": "was canceled", "terminated": "was terminated"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the bot answered."""

    response: str
    workflow_id: str


def send(
    text: str,
    *,
    user: str,
    group: str | None,
    config: Config,
    status: Callable[[], StackStatus],
    timeout: float,
    say: Callable[[str], None],
) -> Reply:
    """The reply to `text`, which is waited for up to `timeout` seconds; `say` tells for what.

    `status` asks the supervisor of this folder; it raises NotRunningError where there is none. This raises UsageError
    for an empty message, NotRunningError where nobody can answer, and MikaError with what the API said, or why it
    says nothing.
    """
    if not text.strip():
        raise UsageError("the message is empty", 'write one: mika send "hello"')
    _check_whose_port(config)
    message = {"user_id": user, "message": text, "message_id": uuid.uuid4().hex}
    if group is not None:
        message["group_id"] = group
    return _Sender(message, config, status, timeout, say).reply()


def _check_whose_port(config: Config) -> None:
    """Raise NotRunningError where this folder's stack is down and another folder's has the port of the API.

    Its bot would answer, with other code and another memory, and nobody would see why.
    """
    if ProjectDir(config.project).is_locked():
        return
    port = config.port("API_PORT")
    if other := ports.find_other_stack(config.text("API_HOST"), port, config.project):
        raise NotRunningError(
            f"no stack is running in {config.project}: port {port} (API_PORT) is that of the stack in {other}",
            f"`mika up` here, with another API_PORT; or `mika -C {ports.quote_path(other)} send`",
        )


class _Sender:
    """One message on its way."""

    def __init__(
        self,
        message: dict[str, str],
        config: Config,
        status: Callable[[], StackStatus],
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        self._message, self._config, self._status, self._say = message, config, status, say
        self._url = config.api_url
        secret = config.text("WEBHOOK_SECRET")
        self._headers = {"X-Webhook-Secret": secret} if secret else {}
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
                self._say_once("No reply yet; waiting for it")
                problem = self._no_reply()
            else:
                problem = self._unreachable(answer)
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise problem
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LAST_PAUSE) if answer.kind == "http" else FIRST_PAUSE

    def _ask(self) -> http.Answer:
        """Send the message; once it is known that it is kept, ask what became of it."""
        timeout = max(1.0, min(_REQUEST_TIMEOUT, self._deadline - time.monotonic()))
        if self._workflow_id:
            return self._request("GET", f"/workflows/{self._workflow_id}", timeout)
        return self._request("POST", "/webhook/langbot", timeout, self._message)

    def _request(self, method: str, path: str, timeout: float, payload: Any = None) -> http.Answer:
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
            self._say(f"{text} (up to {self._timeout:g} s).")

    # --- the API answers ---------------------------------------------------------------------------------------------

    def _reply(self, answer: http.Answer) -> Reply | None:
        body = answer.json
        if answer.status != 200 or "response" not in body or body.get("status", "ok") not in ("ok", "completed"):
            return None
        return Reply(str(body["response"] or ""), str(body.get("workflow_id") or self._workflow_id))

    def _not_yet(self, answer: http.Answer) -> MikaError:
        """What to raise when time is up. Raises it at once where waiting is of no use."""
        body = answer.json
        is_running = answer.status == 200 and body.get("status") == "running"
        code, cause = str(body.get("code") or ""), str(body.get("cause") or "")
        if not is_running and code not in _MAY_PASS:
            raise self._final(answer)
        self._workflow_id = self._workflow_id or str(body.get("workflow_id") or "")
        stuck = f"the message is kept, and not answered ({cause})"
        problem = MikaError(stuck, _hint(body, self._workflow_id), code=cause) if is_running else _problem(body)
        if cause in _NO_USE_WAITING:
            raise problem
        name = _MAY_PASS.get(code) or _MAY_PASS.get(cause)
        if name and (way_back := self._way_back(name)):
            then = "the message is answered: it is kept" if self._workflow_id else "send it again"
            problem.hint = f"{way_back}; then {then}"
            raise problem
        if not is_running:
            self._say_once(f"{body.get('detail') or code} Waiting for it")
        elif cause not in ("", self._cause):
            self._say_once(f"Still no reply ({cause}): {body.get('fix')}; waiting")
        self._cause = cause
        return self._no_reply(body) if is_running else problem

    def _final(self, answer: http.Answer) -> MikaError:
        """What an answer means that no waiting changes."""
        body = answer.json
        if answer.status == 200 and "status" in body and "workflow_id" in body:
            error = body.get("error") or {}
            detail, status = error.get("detail", "no reason is known"), str(body["status"])
            end = _ENDS.get(status, status)
            return MikaError(f"the workflow {end}: {detail}", _hint(body, self._workflow_id), code=status)
        if "code" in body:
            return _problem(body)
        text = f"{self._url} answers {answer.status} {answer.reason}".rstrip() + ", not as the bot's API does"
        host, port = self._config.text("API_HOST"), self._config.port("API_PORT")
        if is_loopback(host):
            text += f"; port {port} (API_PORT) is held by {ports.describe_listener(ports.find_listener(host, port))}"
        return MikaError(text, "give one of them another port: `mika doctor` says more", code=f"http_{answer.status}")

    def _no_reply(self, body: dict[str, Any] | None = None) -> MikaError:
        hint = _hint(body, self._workflow_id) if body else "`mika status` shows the stack"
        return MikaError(f"no reply within {self._timeout:g} s", hint, code="no_reply")

    # --- it does not -------------------------------------------------------------------------------------------------

    def _unreachable(self, answer: http.Answer) -> MikaError:
        """What to raise when time is up. Waits only where a supervisor brings the API back.

        Raises NotRunningError where there is neither a supervisor nor a program that listens, MikaError for one that
        listens and does not speak HTTP, and for a stack without an API or with one that nothing brings back.
        """
        problem = MikaError(
            f"the API at {self._url} does not answer: {answer.reason}",
            "`mika doctor` says what listens there",
            code="api_unreachable",
        )
        try:
            status = self._status()
        except NotRunningError as error:
            if answer.kind != "refused":
                raise problem from None
            raise NotRunningError(f"{error.message}, and nothing answers at {self._url}", error.hint) from None
        except MikaError:  # it is just starting or stopping
            status = None
        if status is not None:
            units = self._units(status, "api")
            if not units:
                raise self._no_api(answer)
            if way_back := _way_back(units):
                problem.hint = way_back
                raise problem
        self._say_once("The API does not answer; waiting for it")
        return problem

    def _no_api(self, answer: http.Answer) -> MikaError:
        listener = "nothing answers" if answer.kind == "refused" else "no API answers"
        return MikaError(
            f"the stack that runs here has no API process, and {listener} at {self._url}: {answer.reason}",
            "start the stack with its API: `mika down`, then `mika up`;"
            " API_HOST and API_PORT say where one is that runs elsewhere",
            code="no_api",
        )

    def _way_back(self, name: str) -> str:
        """How to get `name` back where nothing does that by itself; else empty."""
        try:
            return _way_back(self._units(self._status(), name))
        except MikaError:  # no supervisor: somebody may start it again by hand; or it is just starting
            return ""

    def _units(self, status: StackStatus, name: str) -> Sequence[UnitStatus]:
        """The units of that type; else those that say by their address that they are one."""
        address = {"api": self._url, "worker": "worker:"}.get(name)
        return status.called(name) or [p for p in status.processes if address and p.address.startswith(address)]


def _way_back(units: Sequence[UnitStatus]) -> str:
    if not units or not all(unit.is_at_rest for unit in units):
        return ""
    name = units[0].name if len(units) == 1 else units[0].type
    if units[0].has_given_up:
        return f"{name} gave up: {units[0].reason} (`mika logs {name}` says more); then `mika restart {name}`"
    gone = "is stopped" if units[0].phase is Phase.STOPPED else "has exited"
    return f"{name} {gone}: `mika start {name}`"


def _problem(body: dict[str, Any]) -> MikaError:
    """The API's problem+json as our error."""
    detail = body.get("detail") or body.get("title") or body["code"]
    hint = _hint(body, body["workflow_id"]) if body.get("workflow_id") else "`mika logs api` says more"
    return MikaError(f"the API answered: {detail}", hint, code=str(body["code"]))


def _hint(body: dict[str, Any], workflow_id: str) -> str:
    """Cause and fix where the API names them, and where to read more."""
    cause, fix = body.get("cause"), str(body.get("fix") or "")
    said = str(body.get("detail") or (body.get("error") or {}).get("detail", ""))
    named = f"{cause}: {fix}; " if fix and fix[1:] not in said else ""  # a detail begins its sentence with a capital
    return f"{named}`mika doctor --workflow {workflow_id}` tells its story"
