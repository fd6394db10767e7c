"""Ask Temporal for a command, with what the doctor knows of the project."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mika.cli.context import Context
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.project.folder import ProjectDir
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.service import RPCError

T = TypeVar("T")

_RPC_TIMEOUT = 10.0
"""Seconds: whoever asks would only ask again. The checks of the doctor say sooner that a server is slow."""


def ask(context: Context, work: Callable[[Examination], Awaitable[T]]) -> T:
    """Do it with a connection; an error of Temporal becomes one line."""
    from temporalio.service import RPCError

    config = context.load_started()

    async def main() -> T:
        async with Examination(config, ProjectDir(config.project), rpc_timeout=_RPC_TIMEOUT) as exam:
            try:
                return await work(exam)
            except RPCError as error:
                raise failed_call(error) from None

    return asyncio.run(main())


def failed_call(error: RPCError) -> MikaError:
    """What to say of a call that the server refused, or did not answer."""
    from mika.diagnosis.fixes import fix_of_refused_call
    from mika.diagnosis.temporal import CallError, call_error

    match call_error(error):
        case CallError.TIMEOUT:
            text = _("Temporal did not answer in time")
        case CallError.UNREACHABLE:
            text = _("Temporal cannot be reached: {error}", error=error)
        case _:
            text = _("Temporal refuses: {error}", error=error)
    return MikaError(text, fix_of_refused_call(str(error)) or _("`mika doctor` checks it"), code="temporal_error")
