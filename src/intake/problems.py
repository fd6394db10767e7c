"""What may be wrong with a message, each with a `code` that clients may rely on; `src.api.problems` answers with it.

Without a web framework: the worker reads messages, too, and FastAPI would be a third of its start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mika.diagnosis.model import Diagnosis


@dataclass(frozen=True, slots=True)
class Kind:
    """What belongs to a `code`. `retry_after` is in seconds; None if a retry does not help."""

    status: int
    title: str
    retry_after: int | None = None


KINDS = {
    "bad_request": Kind(400, "Not a request of HTTP"),
    "invalid_message": Kind(422, "The message is not valid"),
    "message_too_large": Kind(413, "The message is too large"),
    "unauthorized": Kind(401, "The webhook's secret is missing or wrong"),
    "not_found": Kind(404, "Not found"),
    "unsupported_media_type": Kind(415, "The body is not JSON"),
    "request_timeout": Kind(408, "The request did not arrive in time"),
    "host_not_allowed": Kind(421, "The request is for another host"),
    "only_from_here": Kind(403, "Only programs of this machine may ask for this"),
    "history_unavailable": Kind(503, "The history cannot be used", 5),
    "api_overloaded": Kind(503, "The API has too many requests at once", 2),
    "temporal_unavailable": Kind(503, "Temporal does not answer", 5),
    "no_worker": Kind(503, "No worker takes the message", 5),
    "worker_unresponsive": Kind(504, "A worker took the message, but does not answer", 10),
    "activity_paused": Kind(504, "A step of answering the message is paused", 10),
    "workflow_timeout": Kind(504, "The message was not answered in time", 10),
    "activity_failed": Kind(502, "A step of answering the message failed", 10),
    "api_stopping": Kind(503, "The API is stopping", 2),
    "already_answered": Kind(409, "Somebody else has answered the message"),
    "busy": Kind(429, "More messages than the workers can answer in time", 10),
    "workflow_stopped": Kind(502, "The workflow was canceled or terminated"),
    "internal_error": Kind(500, "Internal error"),
}


class Problem(Exception):  # noqa: N818 - RFC 9457's own term
    """Raised anywhere below a route, and rendered in one place."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        workflow_id: str | None = None,
        retry: bool = True,
        retry_after: int | None = None,
        diagnosis: Diagnosis | None = None,
    ) -> None:
        """`retry=False`: a retry cannot fix this one, although it often fixes others with this code.

        `retry_after`: in seconds, if it is known better than for all with this code.
        """
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.workflow_id = workflow_id
        self.diagnosis = diagnosis
        self.retry_after = (retry_after or KINDS[code].retry_after) if retry else None
        self.canned_reply: str | None = None
        """What a caller that cannot read problems may show in the chat."""

    @property
    def explanation(self) -> dict[str, object]:
        """`cause` and `fix`, as in `mika doctor`; empty if there is no diagnosis."""
        diagnosis = self.diagnosis
        return {"cause": diagnosis.cause, "fix": diagnosis.fix} if diagnosis is not None else {}


def in_chat(text: str) -> dict[str, object]:
    """The members of an answer that have a reply: LangBot's runners read the first, some bots the second."""
    return {"response": text, "message": [{"type": "Plain", "text": text}]}
