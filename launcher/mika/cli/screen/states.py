"""The states of units, of a stack and of workflows as words for people. Programs read them as they are, from JSON."""

from __future__ import annotations

from mika.cli.language import shown
from mika.wording import Text, _

_WORDS = {
    # of a unit, and of a stack
    "waiting": _("waiting"),
    "starting": _("starting"),
    "ready": _("ready"),
    "degraded": _("degraded"),
    "unhealthy": _("unhealthy"),
    "restarting": _("restarting"),
    "stopping": _("stopping"),
    "stopped": _("stopped"),
    "exited": _("exited"),
    "gave_up": _("gave up"),
    "backing_off": _("backing off"),
    "done": _("done"),
    # of a workflow
    "running": _("running"),
    "completed": _("completed"),
    "failed": _("failed"),
    "canceled": _("canceled"),
    "terminated": _("terminated"),
    "timed_out": _("timed out"),
    "continued_as_new": _("continued as new"),
}


def word(state: str) -> str:
    """`gave up` for `gave_up`, in the user's language. One that is not known here stays as it is."""
    return shown(_WORDS.get(state) or state.replace("_", " "))


def status(state: str) -> str:
    """Of a workflow; in English as programs read it, `timed_out`."""
    return shown(Text(state, _WORDS.get(state, "")))
