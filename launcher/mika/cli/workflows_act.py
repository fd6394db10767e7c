"""`mika workflows cancel`, `terminate`, `retry`, `reset` and `export`: what is done to one workflow, or to many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mika.cli.asking import ask
from mika.cli.context import Context, json_option
from mika.cli.kinds import Choice, Whole
from mika.cli.workflows_run import act
from mika.diagnosis.model import FINE, Cause
from mika.doctor.examination import Examination
from mika.doctor.workflows import actions, export, reset, selection
from mika.doctor.workflows.batch import Step
from mika.errors import UsageError
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

Select = Callable[[Examination], Awaitable["Sequence[WorkflowExecutionInfo]"]]
_CAUSES = [str(cause) for cause in Cause if cause not in FINE and cause != Cause.NOT_FOUND]

_ids = click.argument("ids", nargs=-1, metavar="[ID]...")
_query = click.option("--query", metavar="Q", help="Those that it finds, such as \"WorkflowType='Order'\".")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _selected(*options: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The arguments of all commands that do something about workflows."""

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        for decorate in (click.pass_obj, json_option, *reversed(options), _query, _ids):
            function = decorate(function)
        return function

    return decorated


def _one_of(ids: Sequence[str], query: str | None, other: str = "", *, given: bool = False) -> None:
    """Raises UsageError unless exactly one way to choose workflows was taken."""
    if sum((bool(ids), query is not None, given)) != 1:
        raise UsageError(
            _("which workflows? Give IDs, or --query, or {option}", option=other)
            if other
            else _("which workflows? Give IDs, or --query")
        )


def _select(ids: Sequence[str], query: str | None, *, running: bool = False) -> Select:
    if query is not None:
        return lambda exam: selection.by_query(exam, query, running=running)
    return lambda exam: selection.by_ids(exam, ids)


@click.command("cancel")
@_selected(_yes)
def cancel_command(context: Context, ids: tuple[str, ...], query: str | None, yes: bool, as_json: bool) -> None:
    """Ask running workflows to cancel themselves; they need a worker for that."""
    _stop(context, ids, query, "cancel", yes=yes, as_json=as_json)


@click.command("terminate")
@_selected(_yes)
def terminate_command(context: Context, ids: tuple[str, ...], query: str | None, yes: bool, as_json: bool) -> None:
    """End running workflows at once; their code is not asked."""
    _stop(context, ids, query, "terminate", yes=yes, as_json=as_json)


def _stop(
    context: Context,
    ids: Sequence[str],
    query: str | None,
    verb: Literal["cancel", "terminate"],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    _one_of(ids, query)

    async def plan(exam: Examination) -> list[Step]:
        return actions.plan_stop(exam, await _select(ids, query, running=True)(exam), verb)

    act(context, verb, plan, yes=yes, as_json=as_json)


@click.command("retry")
@_selected(
    click.option("--cause", type=Choice(_CAUSES), metavar="CAUSE", help="Those of `mika workflows` with it."),
    click.option("--all", "every", is_flag=True, help="With --cause: of the last 1000, not only of the last 20."),
    click.option("--replace", is_flag=True, help="Terminate those that still run first."),
    _yes,
)
def retry_command(
    context: Context,
    ids: tuple[str, ...],
    query: str | None,
    cause: str | None,
    every: bool,
    replace: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Start workflows again with the same input, under new ids.

    With --query and --cause each is started again only once, so that an interrupted command can be repeated.
    """
    _one_of(ids, query, "--cause", given=cause is not None)
    if every and cause is None:
        raise UsageError(_("--all is for --cause"), _("such as --cause activity_failed --all"))

    async def plan(exam: Examination) -> list[Step]:
        if cause is not None:
            infos: Sequence[WorkflowExecutionInfo] = await selection.by_cause(exam, Cause(cause), every=every)
        else:
            infos = await _select(ids, query)(exam)
        return await actions.plan_retry(exam, infos, named=bool(ids), replace=replace)

    act(context, "retry", plan, yes=yes, as_json=as_json)


@click.command("reset")
@_selected(
    click.option("--stuck", is_flag=True, help="Those whose workflow task fails again and again."),
    click.option(
        "--to",
        default=reset.LAST_GOOD,
        show_default=True,
        metavar="POINT",
        help="`last-good`: as late as the code, as it is now, fits. `first`: the beginning. Or the id of an event, "
        "or the type of an activity: it and what follows runs again.",
    ),
    _yes,
)
def reset_command(
    context: Context,
    ids: tuple[str, ...],
    query: str | None,
    stuck: bool,
    to: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Let workflows go on from an earlier point of their history; also ended ones.

    What came before that point is kept and does not run again. Fix and restart the worker first.
    """
    _one_of(ids, query, "--stuck", given=stuck)
    infos = ask(context, selection.stuck if stuck else _select(ids, query))
    answers: dict[reset.RunId, reset.Answer] = {}
    if to == reset.LAST_GOOD and infos:
        from mika.stack.last_good import last_good

        runs = [(info.execution.workflow_id, info.execution.run_id) for info in infos]
        answers = last_good(context.load_started(), context.folder, runs)

    async def plan(exam: Examination) -> list[Step]:
        return await reset.plan(exam, infos, to, answers, again=query is None)

    act(context, "reset", plan, yes=yes, as_json=as_json)


@click.command("export")
@_selected(
    click.option("--last", "count", type=Whole(1, selection.MOST), metavar="N", help="Those started last."),
    click.option("-o", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where to."),
)
def export_command(
    context: Context, ids: tuple[str, ...], query: str | None, count: int | None, folder: Path, as_json: bool
) -> None:
    """Write histories to DIR/ID.json, for `mika check --histories` and for tests.

    A history contains the data of its workflow: inputs, results, signals. Only you can read the files; look at them
    before you commit them. An older file of the same run is replaced.
    """
    _one_of(ids, query, "--last", given=count is not None)

    async def plan(exam: Examination) -> list[Step]:
        infos = await (selection.latest(exam, count) if count is not None else _select(ids, query)(exam))
        return export.plan(exam, infos, folder)

    act(context, "export", plan, yes=True, as_json=as_json)


COMMANDS = (cancel_command, terminate_command, retry_command, reset_command, export_command)
