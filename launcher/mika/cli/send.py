"""`mika send`: one message through the real API, and patience where patience helps."""

from __future__ import annotations

import contextlib
import getpass
import time
import uuid
from typing import Any

import click

from mika.cli.context import Context, json_option, print_json
from mika.config.load import Config
from mika.errors import MikaError, NotRunningError, UsageError
from mika.machine import ports
from mika.project.folder import ProjectDir

_STEP = 0.1
_REQUEST_TIMEOUT = 10.0
_MAY_PASS = {
    "no_worker": "worker",
    "worker_unresponsive": "worker",
    "temporal_unavailable": "temporal",
    "api_stopping": "api",
}
"""Problems of the API that pass when that unit is back."""
_NO_USE_WAITING = {"wrong_task_queue", "wrong_namespace", "workflow_task_failing"}  # somebody must mend these


@click.command("send")
@click.argument("text")
@click.option("--user", metavar="ID", help="Who sends it (default: your login name).")
@click.option("--group", metavar="ID", help="The group it is sent to (default: a private message).")
@click.option("--timeout", metavar="S", help="Give up after this many seconds (default: the run time-out).")
@json_option
@click.pass_obj
def send_command(
    context: Context, text: str, user: str | None, group: str | None, timeout: str | None, as_json: bool
) -> None:
    """Send TEXT as a chat message and print the reply.

    While a worker or the API is being restarted the message waits; it is started once, whatever happens.
    """
    if not text.strip():
        raise UsageError("the message is empty", 'write one: mika send "hello"')
    config = context.load_started({"MIKA_TIMEOUT": timeout})
    limit = config.number("MIKA_TIMEOUT" if timeout is not None else "WORKFLOW_RUN_TIMEOUT")
    message = {"user_id": user or _login(), "message": text, "message_id": uuid.uuid4().hex}
    if group is not None:
        message["group_id"] = group
    _not_to_another_stack(config)
    answer = Sender(context, config, limit).send(message)
    if as_json:
        print_json({"version": 1, **answer})
    else:
        click.echo(answer["response"])


def _not_to_another_stack(config: Config) -> None:
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


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no entry for this uid; on Windows, no USERNAME
        return "developer"


class Sender:
    """One message on its way. The message id makes every retry safe: the API starts it once."""

    def __init__(self, context: Context, config: Config, timeout: float) -> None:
        import httpx

        self._context, self._timeout = context, timeout
        self._base = config.api_url
        headers = {"X-Webhook-Secret": config.text("WEBHOOK_SECRET")} if config.value("WEBHOOK_SECRET") else {}
        # trust_env: a proxy of the company must not get what is meant for this machine
        self._http = httpx.Client(base_url=self._base, headers=headers, timeout=_REQUEST_TIMEOUT, trust_env=False)
        self._told: set[str] = set()

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """The reply, `{"response", "workflow_id"}`. Raises MikaError with what the API said, or why there is none."""
        deadline = time.monotonic() + self._timeout
        workflow_id = ""
        with self._http:
            while True:
                problem = MikaError(
                    f"no reply within {self._timeout:.0f} s", "`mika status` shows the stack", code="no_reply"
                )
                wait = _STEP
                try:
                    if workflow_id:
                        found = self._http.get(f"/workflows/{workflow_id}")
                        done = self._finished(found, workflow_id)
                    else:
                        found = self._http.post("/webhook/langbot", json=message)
                        done = self._answered(found)
                        workflow_id = _json(found).get("workflow_id", "") if done is None else ""
                        wait = 0.5 if not workflow_id else _STEP
                    if done is not None:
                        return done
                    problem = _problem(found) if not workflow_id else problem
                except self._transport_errors() as error:
                    if self._is_at_work(error):
                        self._tell(f"No reply yet; waiting for it (up to {self._timeout:.0f} s).")
                    else:
                        problem = self._unreachable(error)
                if time.monotonic() >= deadline:
                    raise problem
                time.sleep(wait)

    def _answered(self, answer: Any) -> dict[str, Any] | None:
        """The reply; None when it may still come. Raises for a final error."""
        body = _json(answer)
        if answer.status_code == 200 and "response" in body:
            return {"response": body["response"], "workflow_id": body.get("workflow_id")}
        code = body.get("code")
        if body.get("cause") in _NO_USE_WAITING:
            raise _problem(answer)
        if code in _MAY_PASS:
            name = _MAY_PASS[code]
            with contextlib.suppress(NotRunningError):  # then somebody may start it again by hand
                if gone := self._gone_for_good(name):
                    then = "the message is answered: it is kept" if body.get("workflow_id") else "send it again"
                    raise _problem(answer, f"{gone}; then {then}")
            self._tell(f"{body.get('detail') or code} Waiting for it (up to {self._timeout:.0f} s).")
            return None
        raise _problem(answer)

    def _finished(self, answer: Any, workflow_id: str) -> dict[str, Any] | None:
        body = _json(answer)
        status = body.get("status")
        if status == "completed":
            return {"response": body.get("response"), "workflow_id": workflow_id}
        if answer.status_code == 200 and status != "running":
            error = body.get("error") or {}
            raise MikaError(
                f"the workflow {status}: {error.get('detail', 'no reason given')}",
                _hint(body, workflow_id),
                code=str(status),
            )
        if answer.status_code in (200, 503, 504):
            return None
        raise _problem(answer)

    def _unreachable(self, error: Exception) -> MikaError:
        """The API does not answer. Wait only where a supervisor is bringing it back.

        Raises NotRunningError where there is neither a supervisor nor a program that listens, MikaError for one that
        listens and cannot talk.
        """
        problem = MikaError(
            f"the API at {self._base} does not answer: {error}",
            "`mika doctor` says what listens there",
            code="api_unreachable",
        )
        try:
            gone = self._gone_for_good("api")
        except NotRunningError as no_stack:
            if self._is_connected(error):
                raise problem from None
            no_stack.message += f", and nothing answers at {self._base}"
            raise
        if gone:
            problem.hint = gone
            raise problem
        self._tell(f"The API does not answer; waiting for it (up to {self._timeout:.0f} s).")
        return problem

    def _is_at_work(self, error: Exception) -> bool:
        """Whether the API has only no reply yet: what answers the message is slow, or cannot."""
        import httpx

        if not isinstance(error, httpx.ReadTimeout):
            return False
        try:
            return bool(self._http.get("/healthz", timeout=2).status_code == 200)
        except httpx.TransportError:
            return False

    def _gone_for_good(self, name: str) -> str:
        """How to get it back where nothing does that by itself (it was stopped or gave up); else empty.

        Raises NotRunningError where there is no supervisor: somebody's own terminals, if anything.
        """
        try:
            status = self._context.client.status()
        except NotRunningError:
            raise
        except MikaError:  # it is just starting or stopping
            return ""
        units = status.called(name)
        if not units or not all(unit.is_at_rest for unit in units):
            return ""
        if units[0].has_given_up:
            return f"{name} gave up: {units[0].reason.text}; fix it (`mika logs {name}`), `mika restart {name}`"
        return f"{name} is {units[0].state}: `mika start {name}`"

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            click.echo(text, err=True)

    @staticmethod
    def _is_connected(error: Exception) -> bool:
        import httpx

        return not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))

    @staticmethod
    def _transport_errors() -> type[Exception]:
        import httpx

        return httpx.TransportError


def _json(answer: Any) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _hint(body: dict[str, Any], workflow_id: str) -> str:
    """Cause and fix where the API names them, and where to read more."""
    told = str(body.get("detail") or (body.get("error") or {}).get("detail", ""))
    fix = str(body.get("fix") or "")
    fix = f"{body.get('cause')}: {fix}; " if fix and fix[1:] not in told else ""
    return f"{fix}`mika doctor --workflow {workflow_id}` tells its story"


def _problem(answer: Any, hint: str = "") -> MikaError:
    """The API's problem+json as our error."""
    body = _json(answer)
    detail = body.get("detail") or body.get("title") or f"HTTP {answer.status_code}"
    hint = hint or (_hint(body, body["workflow_id"]) if body.get("workflow_id") else "`mika logs api` says more")
    return MikaError(f"the API answered: {detail}", hint, code=str(body.get("code") or f"http_{answer.status_code}"))
