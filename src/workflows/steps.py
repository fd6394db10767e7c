"""What the workflows share: how a reply is sent, and how the outcome is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as StepTimeoutError

with workflow.unsafe.imports_passed_through():
    from src.messages import SEND_REPLY, Sent

if TYPE_CHECKING:
    from src.messages import OutgoingReply

T = TypeVar("T")

# After this, the server notices that a worker was killed, and the next worker gets the call. Not shorter: a laptop
# under load may stall for a second, and a false alarm pays for the same answer twice.
HEARTBEAT_TIMEOUT = timedelta(seconds=1.5)
# Longer, where nothing is gained: a reply that may have been sent is not sent again, so after a false alarm nobody
# knows whether it arrived. 50 messages at once on a busy machine stall a worker for seconds.
SENDING_HEARTBEAT_TIMEOUT = timedelta(seconds=8)


# A step of the history is short, so it runs within a workflow task, which costs a third of an activity. Any pause
# before another attempt is a timer of the server's: the worker may take something else meanwhile.
_LOCAL_RETRY = timedelta(milliseconds=1)


async def local(
    step: str, argument: object, *, patience: timedelta, one_attempt: timedelta, attempts: int, result: type[T]
) -> T:
    """Run a local activity. Raises `ActivityError`, as any activity; the SDK raises the cause alone."""
    try:
        answer: T = await workflow.execute_local_activity(
            step,
            argument,
            result_type=result,
            schedule_to_close_timeout=patience,
            start_to_close_timeout=one_attempt,
            retry_policy=retry(attempts),
            local_retry_threshold=_LOCAL_RETRY,
        )
    except (ApplicationError, StepTimeoutError) as error:
        raise ActivityError(
            "Activity task failed",
            scheduled_event_id=0,
            started_event_id=0,
            identity="",
            activity_type=step,
            activity_id="",
            retry_state=None,
        ) from error
    return answer


async def send(reply: OutgoingReply, *, patience: timedelta, one_attempt: timedelta) -> Sent:
    """Send a reply, and try again where it surely was not sent. Raises `ActivityError` after `patience`."""
    sent: Sent = await workflow.execute_activity(
        SEND_REPLY,
        reply,
        result_type=Sent,
        schedule_to_close_timeout=patience,
        start_to_close_timeout=one_attempt,
        heartbeat_timeout=SENDING_HEARTBEAT_TIMEOUT,
        retry_policy=retry(),
    )
    return sent


def show(sent: Sent) -> None:
    """Put the outcome where `mika doctor`, Temporal's UI and `temporal workflow describe` show it, without the text."""
    workflow.upsert_memo({"delivery": sent.delivery} | ({"detail": sent.detail} if sent.detail else {}))


def retry(attempts: int = 0) -> RetryPolicy:
    """At most so many attempts; 0: no limit but the time."""
    return RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
        maximum_attempts=attempts,
    )


def last_failure(error: ActivityError) -> BaseException:
    """What the last attempt raised; a timeout of Temporal's if there was none."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return cause


def reason(error: ActivityError) -> str:
    """`ask_llm: the LLM at … answered 401 (check LLM_API_KEY)`."""
    cause = last_failure(error)
    return f"{error.activity_type}: {cause.message if isinstance(cause, ApplicationError) else cause}"
