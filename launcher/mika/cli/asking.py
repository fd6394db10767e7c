"""Ask Temporal for a command, with what the doctor knows of the project."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mika.cli.context import Context
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.project.folder import ProjectDir
from mika.wording import _

T = TypeVar("T")


def ask(context: Context, work: Callable[[Examination], Awaitable[T]]) -> T:
    """Do it with a connection; an error of Temporal becomes one line."""
    from temporalio.service import RPCError

    from mika.diagnosis.fixes import fix_of_refused_call

    config = context.load_started()

    async def main() -> T:
        async with Examination(config, ProjectDir(config.project)) as exam:
            try:
                return await work(exam)
            except RPCError as error:
                fix = fix_of_refused_call(str(error)) or _("`mika doctor` checks it")
                raise MikaError(_("Temporal refuses: {error}", error=error), fix, code="temporal_error") from None

    return asyncio.run(main())
