"""The client side of the control channel: status and control of a stack that another process supervises."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from mika.control import requests, wire
from mika.control.requests import ControlUnits, DebugUnits, Down, GetStatus, Request, Verb
from mika.decoded import Json
from mika.errors import MikaError, NotRunningError, UsageError
from mika.project.folder import ProjectDir, RunState
from mika.status import StackStatus
from mika.wording import Text, _, unpacked

if sys.platform == "win32":
    from mika.control._windows_client import exchange
else:
    from mika.control._posix_client import exchange

_END_SECONDS, _END_INTERVAL = 0.5, 0.02
GONE = "address_gone"
"""Code of a ChannelError: the file of the socket has been removed."""


class ChannelError(MikaError):
    """The supervisor did not answer."""

    code = "no_answer"


class Client:
    """Sends requests to the supervisor of one folder.

    Each call raises NotRunningError when no stack is running there, and MikaError when the supervisor does not answer
    (`busy` while it starts or stops) or answers with an error.
    """

    def __init__(self, folder: ProjectDir) -> None:
        self.folder = folder

    def status(self) -> StackStatus:
        answer = self._send(GetStatus())
        try:
            return StackStatus.from_json(answer)
        except (KeyError, TypeError, ValueError):
            hint = _("`mika down` with that version, then `mika up`")
            raise MikaError(_("this stack was started by another version of mika"), hint, code="version") from None

    def down(self, *, force: bool = False) -> None:
        """Ask the supervisor to stop the stack. Returns at once, while the stack is still stopping."""
        self._send(Down(force=force))

    def control(self, verb: Verb, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Start, stop or restart units by name or type. Returns their names, and what the user should know."""
        return _selected(self._send(ControlUnits(verb, tuple(names))))

    def debug(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Restart processes for a debugger. Returns their names, and what the user should know."""
        return _selected(self._send(DebugUnits(tuple(names))))

    def _send(self, request: Request) -> Json:
        state = self.folder.read_state()
        if state is None:
            return self._ended()
        try:
            return send(state.address, state.key, request)
        except ChannelError as error:
            if not self._is_current(state):
                return self._ended()
            from mika.control import unresponsive

            error.hint = unresponsive.fix_for(state.pid)
            if error.code == GONE:
                error.hint = _("the supervisor makes a new one within 2 s: try again; {or_else}", or_else=error.hint)
            raise

    def _ended(self) -> NoReturn:
        if self.folder.is_locked():
            raise MikaError(_("the stack is starting or stopping"), _("try again in a moment"), code="busy")
        raise not_running(self.folder)

    def _is_current(self, state: RunState) -> bool:
        """Whether that supervisor still holds the lock. One that ends closes its socket a moment before it frees it."""
        deadline = time.monotonic() + _END_SECONDS
        while self.folder.read_state() == state and self.folder.is_locked():
            if time.monotonic() >= deadline:
                return True
            time.sleep(_END_INTERVAL)
        return False


def send(address: str, key: str, request: Request) -> Json:
    """Send one request and return its result, decoded JSON. Blocks for at most 5 s.

    Raises ChannelError when nobody answers, and a MikaError when the supervisor answers with one.
    """
    body = json.dumps(requests.to_json(request)).encode()
    nonce = ""

    def signed(greeting: bytes) -> bytes:
        nonlocal nonce
        nonce = greeting.strip().decode("ascii")
        return wire.signed_line(key, nonce, body)

    try:
        answer, mac = wire.split(exchange(address, signed, wire.MAX_ANSWER, wire.TIMEOUT))
    except FileNotFoundError:
        raise ChannelError(_("the supervisor's control socket {address} is gone", address=address), code=GONE) from None
    except (OSError, ValueError) as error:
        why = error if str(error) else _("timeout")
        text = _("the supervisor does not answer at {address}: {why}", address=address, why=why)
        raise ChannelError(text) from None
    if not wire.is_signed(key, nonce + "answer", answer, mac):
        raise ChannelError(_("the answer at {address} is not from the supervisor of this folder", address=address))
    content = unpacked(json.loads(answer))
    if "error" in content:
        fields = content["error"]
        failure = MikaError(fields["message"], fields["hint"], code=fields["code"])
        failure.exit_code = fields["exit"]
        raise failure
    return content["result"]


def _selected(answer: Json) -> tuple[list[str], list[str]]:
    return list(answer["names"]), list(answer["notes"])


def not_running(folder: ProjectDir) -> NotRunningError:
    """The error for a folder in which no stack runs. Without a Procfile, it says what `mika up` would start there."""
    hint = _("start it: `mika up`")
    if not (folder.project / "Procfile").exists():
        hint = _found(folder) or _(
            "there is no Procfile here, and no web app or worker was found:"
            " write a Procfile with a line for each process, or give the project's folder with -C"
        )
    return NotRunningError(_("no stack is running in {folder}", folder=folder.project), hint)


def _found(folder: ProjectDir) -> Text | None:
    """What the project is made of, and what runs it, if that is anything. Takes 2 s at most."""
    from mika.config import load as config
    from mika.detect import written

    with contextlib.suppress(UsageError):  # of the settings: the next command says so
        proposal = written.proposed(config.load(folder.project))
        if found := written.in_words(proposal):
            step = written.next_step(proposal)
            return _("there is no Procfile here, but {found}: {step}", found=found, step=step)
    return None
