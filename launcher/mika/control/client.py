"""The stack that runs in a folder, seen from another process."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from mika.control import requests, wire
from mika.control.requests import ControlUnits, Down, GetStatus, Request, Verb
from mika.errors import MikaError, NotRunningError
from mika.project.folder import ProjectDir
from mika.status import StackStatus

if sys.platform == "win32":
    from mika.control._windows_client import exchange
else:
    from mika.control._posix_client import exchange

GONE = "address_gone"
"""Code of a ChannelError where nothing is at the address, because somebody removed the socket's file."""


class ChannelError(MikaError):
    """The supervisor did not answer."""

    code = "no_answer"


class Client:
    """Asks the supervisor of one folder.

    Each call raises NotRunningError when no stack runs there, and MikaError when its supervisor does not answer
    (`busy` while it starts or stops) or refuses.
    """

    def __init__(self, folder: ProjectDir) -> None:
        self.folder = folder

    def status(self) -> StackStatus:
        answer = self._ask(GetStatus())
        try:
            return StackStatus.from_json(answer)
        except (KeyError, TypeError, ValueError):
            hint = "`mika down` with that version, then `mika up`"
            raise MikaError("another version of mika runs this stack", hint, code="version") from None

    def down(self, *, force: bool = False) -> None:
        """Ask for the end of the stack; it takes its time."""
        self._ask(Down(force=force))

    def control(self, verb: Verb, names: Sequence[str]) -> list[str]:
        """Start, stop or restart units by name or type; returns the names of those that were meant."""
        answer = self._ask(ControlUnits(verb, tuple(names)))
        return [str(name) for name in answer["names"]]

    def _ask(self, request: Request) -> Any:
        state = self.folder.read_state()
        if state is None:
            if self.folder.is_locked():
                raise MikaError("the stack is just starting or stopping", "run it again in a moment", code="busy")
            raise not_running(self.folder)
        try:
            return ask(state.address, state.key, request)
        except ChannelError as error:
            if not self.folder.is_locked():
                raise not_running(self.folder) from None
            error.hint = f"if it hangs, kill its process (pid {state.pid}): its services then stop by themselves"
            if error.code == GONE:
                error.hint = f"it makes another one within 2 s: run it again; {error.hint}"
            raise


def ask(address: str, key: str, request: Request) -> Any:
    """Send one request and return its result, decoded JSON. Blocks for at most 5 s.

    Raises ChannelError when nobody answers, and the MikaError that the supervisor answered with.
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
        raise ChannelError(f"the supervisor's control socket {address} is gone", code=GONE) from None
    except (OSError, ValueError) as error:
        raise ChannelError(f"the supervisor does not answer at {address}: {error or 'time-out'}") from None
    if not wire.is_signed(key, nonce + "answer", answer, mac):
        raise ChannelError(f"the answer at {address} is not from the supervisor of this folder")
    value = json.loads(answer)
    if "error" in value:
        failure = value["error"]
        error_ = MikaError(failure["message"], failure["hint"], code=failure["code"])
        error_.exit_code = failure["exit"]
        raise error_
    return value["result"]


def not_running(folder: ProjectDir) -> NotRunningError:
    has_procfile = (folder.project / "Procfile").exists()
    hint = (
        "start it: `mika up`"
        if has_procfile
        else "there is no Procfile here: go to the project's folder, or name it with -C"
    )
    return NotRunningError(f"no stack is running in {folder.project}", hint)
