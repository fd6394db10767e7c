"""The states of units, of a stack and of workflows as words for people. Programs read them as they are, from JSON."""

from __future__ import annotations

from mika.cli.language import shown
from mika.status import IN_WORDS
from mika.wording import Text, _

_WORDS = {
    **{phase.value: text for phase, text in IN_WORDS.items()},
    # of a unit on the screen, and of a stack
    "restarting": _("restarting"),
    "backing_off": _("backing off"),
    "done": _("done"),
    "degraded": _("degraded"),
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
