"""What the SDKs say, each in words of its own: Python, Go, TypeScript, Java and .NET."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from mika.diagnosis import proto

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure

# Copied from the SDKs' sources: Python and .NET, TypeScript ("this Worker"), Java ("with a worker"); Go.
_UNKNOWN_ACTIVITY = re.compile(r"is not registered (on this|with a) worker|unable to find activityType=", re.IGNORECASE)
# Python and .NET; Go; TypeScript; Java.
_UNKNOWN_WORKFLOW = re.compile(
    r"is not registered|unable to find workflow type|no such function is exported|unknown workflow type", re.IGNORECASE
)
# Python; Go. TypeScript checks no types, and Java says the same of the result of an activity.
_UNREADABLE_INPUT = re.compile(r"failed decoding arguments|unable to decode the workflow function input", re.IGNORECASE)
# The SDKs that are built on Rust; how the server names that as the reason of a failure; what it says itself, in errors
# without a type. Its "Failure exceeds size limit." is around an error with a long stack, which it has shortened.
_TOO_LARGE = re.compile(r"TMPRL1103|_EXCEEDS_LIMIT\b")
_TOO_LARGE_BY_SERVER = re.compile(r"(?<!^Failure )exceeds size limit")
_TOO_LARGE_CALL = re.compile(r"Blob data size exceeds limit|received message\b.{0,40}\blarger than max")
_OF_OTHERS = (
    "activity_failure_info",
    "child_workflow_execution_failure_info",
    "nexus_operation_execution_failure_info",
)
_REFUSED = re.compile(r"Cannot access ([\w.]+?)(?:\.__call__)? from inside a workflow")
_INSTEAD = {
    "datetime.datetime.now": "workflow.now()",
    "datetime.datetime.utcnow": "workflow.now()",
    "datetime.datetime.today": "workflow.now()",
    "datetime.date.today": "workflow.now().date()",
    "time.time": "workflow.time()",
    "time.sleep": "await asyncio.sleep(…)",
    "uuid.uuid1": "workflow.uuid4()",
    "uuid.uuid4": "workflow.uuid4()",
}
"""What the Python SDK has for it: https://docs.temporal.io/develop/python/core-application#workflow-logic-requirements"""


def instead(error: str) -> str:
    """What a workflow calls instead of what the sandbox refused; empty if that can only be done in an activity."""
    refused = _REFUSED.search(error)
    if refused is None:
        return ""
    return "workflow.random()" if refused[1].startswith("random.") else _INSTEAD.get(refused[1], "")


def is_activity_unknown(failure: Failure) -> bool:
    """Whether the worker has no activity of the name that the workflow asked for."""
    return _says(_UNKNOWN_ACTIVITY, failure)


def is_workflow_unknown(failure: Failure) -> bool:
    """Whether the worker has no workflow of the type; of the failure of a workflow task."""
    return _says(_UNKNOWN_WORKFLOW, failure)


def is_too_large(failure: Failure) -> bool:
    """Whether an input, a result or something else that was to be sent is larger than the server allows."""
    said = (each.message for each in proto.chain(failure) if not each.application_failure_info.type)
    return _says(_TOO_LARGE, failure) or any(map(_TOO_LARGE_BY_SERVER.search, said))


def is_call_too_large(error: str) -> bool:
    """Whether the server refused a call (a start, a signal) because it takes no payload of that size."""
    return _TOO_LARGE_CALL.search(error) is not None


def is_input_unreadable(failure: Failure) -> bool:
    """Whether the workflow could not read what it was started with; of its own failure, or that of its task.

    An activity or a child that could not read its own says the same.
    """
    own = takewhile(lambda each: each.WhichOneof("failure_info") not in _OF_OTHERS, proto.chain(failure))
    return any(_UNREADABLE_INPUT.search(each.message) for each in own)


def _says(pattern: re.Pattern[str], failure: Failure) -> bool:
    return any(pattern.search(each.message) for each in proto.chain(failure))
