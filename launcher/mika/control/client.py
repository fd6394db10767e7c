"""The stack that runs in a folder, seen from another process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from mika.control import channel
from mika.control.requests import Down, GetStatus, Request, Tell, Verb
from mika.errors import MikaError, NotRunningError
from mika.project.folder import ProjectDir
from mika.status import StackStatus


class Client:
    """Asks the supervisor of one folder.

    Each call raises NotRunningError when no stack runs there, and MikaError when its supervisor does not answer
    (`busy` while it starts or stops) or refuses.
    """

    def __init__(self, folder: ProjectDir) -> None:
        self.folder = folder

    def status(self) -> StackStatus:
        return asyncio.run(self.status_async())

    async def status_async(self) -> StackStatus:
        answer = await self._ask(GetStatus())
        try:
            return StackStatus.from_json(answer)
        except (KeyError, TypeError, ValueError):
            raise MikaError(
                "another version of mika runs this stack",
                "`mika down` with that version, then `mika up`",
                code="version",
            ) from None

    def down(self, *, force: bool = False) -> None:
        """Ask for the end of the stack; it takes its time."""
        asyncio.run(self._ask(Down(force=force)))

    def tell(self, verb: Verb, names: Sequence[str]) -> list[str]:
        """Start, stop or restart units by name or type; returns the names of those that were meant."""
        return asyncio.run(self.tell_async(verb, names))

    async def tell_async(self, verb: Verb, names: Sequence[str]) -> list[str]:
        answer = await self._ask(Tell(verb, tuple(names)))
        return [str(name) for name in answer["names"]]

    async def _ask(self, request: Request) -> Any:
        state = self.folder.read_state()
        if state is None:
            if self.folder.is_locked():
                raise MikaError("the stack is just starting or stopping", "run it again in a moment", code="busy")
            raise not_running(self.folder)
        try:
            return await channel.ask(state.address, state.key, request)
        except channel.ChannelError as error:
            if not self.folder.is_locked():
                raise not_running(self.folder) from None
            kill = f"if it hangs, kill its process (pid {state.pid}): its services then stop by themselves"
            error.hint = (
                f"it makes another one within 2 s: run it again; {kill}" if error.code == channel.GONE else kill
            )
            raise


def not_running(folder: ProjectDir) -> NotRunningError:
    has_procfile = (folder.project / "Procfile").exists()
    hint = (
        "start it: `mika up`"
        if has_procfile
        else "there is no Procfile here: go to the project's folder, or name it with -C"
    )
    return NotRunningError(f"no stack is running in {folder.project}", hint)
