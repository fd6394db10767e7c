"""What the failure of a workflow, or of a call, means for whoever sent the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mika.diagnosis.wording import _
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TerminatedError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from src.intake.problems import Problem

if TYPE_CHECKING:
    from temporalio.client import WorkflowFailureError


def problem_of(error: WorkflowFailureError, workflow_id: str) -> Problem:
    """What the failure of a workflow means for the caller."""
    cause = error.cause
    if isinstance(cause, TemporalTimeoutError):
        return Problem(
            "workflow_timeout",
            _("The message was not answered within WORKFLOW_RUN_TIMEOUT, so the bot gave up."),
            workflow_id=workflow_id,
        )
    if isinstance(cause, CancelledError | TerminatedError):
        return Problem("workflow_stopped", f"{cause}", workflow_id=workflow_id)
    retryable = True
    step = ""
    if isinstance(cause, ActivityError):
        step = f"{cause.activity_type}: "
        cause = cause.cause or cause
    if isinstance(cause, ApplicationError):
        retryable = not cause.non_retryable
    return Problem("activity_failed", f"{step}{_text(cause)}", workflow_id=workflow_id, retry=retryable)


def _text(error: BaseException | None) -> str:
    if isinstance(error, ApplicationError):
        return error.message
    if isinstance(error, TemporalTimeoutError):
        kind = error.type.name.lower() if error.type is not None else "timeout"
        last = error.__cause__
        return f"timed out ({kind}){f', last: {_text(last)}' if last else ''}"
    return str(error)


def root_cause(error: BaseException) -> str | None:
    """The innermost exception, as `type: text`; None if nothing caused this one."""
    cause = error.__cause__
    if cause is None:
        return None
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{type(cause).__name__}: {cause}"
