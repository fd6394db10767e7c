"""Edits of the workflows in `bed/`: for each, which types it breaks, and at which event.

What is written here was seen with a real worker (`truth.py`), and the tests see it again each time.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BED = Path(__file__).parent / "bed"


@dataclass(frozen=True)
class Edit:
    """`breaks` has the event at which an open run of each type does not fit: its type, and its step (`*`: drawn)."""

    name: str
    changes: tuple[tuple[str, str], ...]
    file: str = "flows.py"
    concerns: tuple[str, ...] = ()
    """Types whose code it changes without breaking them."""
    breaks: Mapping[str, str] = field(default_factory=dict)
    raises: bool = False
    """The code raises, so no reset helps."""
    gone: tuple[str, ...] = ()
    """Types that no worker has any more."""
    ends: str = ""
    """The exception with which the program ends before it polls."""
    is_alone: bool = False
    """It keeps its process busy, so that no other can be judged in that."""

    @property
    def types(self) -> set[str]:
        return {*self.concerns, *self.breaks, *self.gone}

    @property
    def package(self) -> str:
        """A name for the edited package, and for its task queue."""
        return "bed_" + "".join(letter if letter.isalnum() else "_" for letter in self.name)

    def apply(self, folder: Path, package: str = "bed") -> None:
        """Make the edited package in `folder`."""
        shutil.copytree(BED, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / package / self.file
        text = path.read_text(encoding="utf-8")
        for old, new in self.changes:
            assert text.count(old) == 1, f"{self.name}: {text.count(old)} times: {old!r}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


def breaks(name: str, kind: str, event: str, *changes: tuple[str, str], raises: bool = False) -> Edit:
    return Edit(name, changes, breaks={kind: event}, raises=raises)


def fits(name: str, kind: str, *changes: tuple[str, str]) -> Edit:
    return Edit(name, changes, concerns=(kind,))


def ends(name: str, error: str, *changes: tuple[str, str]) -> Edit:
    return Edit(name, changes, ends=error)


def elsewhere(name: str, change: tuple[str, str], breaks: Mapping[str, str]) -> Edit:
    """In the module that `Routed` imports."""
    return Edit(name, (change,), file="plan.py", concerns=("Routed",), breaks=breaks)


# --- lines of flows.py ------------------------------------------------------------------------------------------------

_IN = " " * 8
WEIGH = f"{_IN}weight = await workflow.execute_activity(steps.weigh, code, **SOON)\n"
LABEL = f"{_IN}sticker = await workflow.execute_activity(steps.label, code, **SOON)\n"
NAP = f"{_IN}await asyncio.sleep(3600)\n"
DELIVER = "await workflow.execute_activity(steps.deliver, code, **SOON)\n"
ANOTHER = f"{_IN}{DELIVER}"
FERRY = f'{_IN}return await workflow.execute_activity("ferry", code, **AT_SEA)\n'
LONG_NAP = f"{_IN}await asyncio.sleep(7200)\n"
FIRST = f"{_IN}first = await workflow.execute_local_activity(steps.weigh, code, **SOON)\n"
SECOND = f"{_IN}second = await workflow.execute_local_activity(steps.label, code, **SOON)\n"
PATCH = (
    f'{_IN}if workflow.patched("weigh-first"):\n'
    f"{_IN}    await workflow.execute_activity(steps.weigh, code, **SOON)\n"
    f"{_IN}else:\n"
    f"{_IN}    await workflow.execute_activity(steps.deliver, code, **SOON)\n"
)
WEIGHED = f"{_IN}await workflow.execute_activity(steps.weigh, code, **SOON)\n"
DRAW = "steps.weigh if draw.random() < 0.5 else steps.label"
PARCEL_RUN = '''pending, one step is to come."""

    @workflow.run
    async def run(self, code: str)'''


def before(line: str, *added: str) -> tuple[str, str]:
    return line, "".join(f"{_IN}{each}\n" for each in added) + line


# --- the table --------------------------------------------------------------------------------------------------------

EDITS: tuple[Edit, ...] = (
    # Steps that have happened
    fits("nothing", "Parcel"),
    breaks("steps swapped", "Parcel", "ActivityTaskScheduled weigh", (WEIGH + LABEL, LABEL + WEIGH)),
    breaks("step renamed", "Parcel", "ActivityTaskScheduled label", (LABEL, LABEL.replace("steps.label", '"sticker"'))),
    breaks("step added", "Parcel", "ActivityTaskScheduled label", (LABEL, ANOTHER + LABEL)),
    breaks("step added before a pending timer", "Parcel", "TimerStarted", (NAP, ANOTHER + NAP)),
    breaks("timer added", "Parcel", "ActivityTaskScheduled label", before(LABEL, "await asyncio.sleep(1)")),
    breaks("step removed", "Parcel", "ActivityTaskScheduled label", (LABEL, f'{_IN}sticker = ""\n')),
    breaks(
        "step made local",
        "Parcel",
        "ActivityTaskScheduled label",
        (LABEL, LABEL.replace("execute_activity", "execute_local_activity")),
    ),
    breaks("returns at once", "Parcel", "ActivityTaskScheduled weigh", before(WEIGH, 'return ""')),
    breaks("returns after a step", "Parcel", "ActivityTaskScheduled label", before(LABEL, "return weight")),
    breaks(
        "raises", "Parcel", "ActivityTaskScheduled label", before(LABEL, "raise KeyError('unfinished')"), raises=True
    ),
    breaks(
        "fails",
        "Parcel",
        "ActivityTaskScheduled label",
        before(LABEL, "from temporalio.exceptions import ApplicationError", "raise ApplicationError('no such parcel')"),
    ),
    breaks(
        "unknown option",
        "Parcel",
        "ActivityTaskScheduled label",
        (LABEL, LABEL.replace("code, ", "code, patience=3, ")),
        raises=True,
    ),
    fits(
        "await forgotten",
        "Parcel",
        (WEIGH, WEIGH.replace("await workflow.execute", "str(workflow.start").replace("\n", ")\n")),
    ),
    fits("arguments", "Parcel", (LABEL, LABEL.replace("code, ", "code.upper(), "))),
    fits("options", "Parcel", ("seconds=20)}", "seconds=25), 'schedule_to_close_timeout': timedelta(minutes=9)}")),
    fits("result type", "Parcel", (WEIGH, WEIGH.replace("code, ", "code, result_type=dict, "))),
    breaks(
        "argument type",
        "Parcel",
        "ActivityTaskScheduled weigh",
        (PARCEL_RUN, PARCEL_RUN.replace("code: str", "code: int")),
        raises=True,
    ),
    # The present, and what is to come
    breaks("pending timer removed", "Parcel", "TimerStarted", (NAP, "")),
    breaks("timer becomes a condition", "Parcel", "TimerStarted", (NAP, f"{_IN}await workflow.wait_condition(bool)\n")),
    fits("timer shorter", "Parcel", (NAP, f"{_IN}await asyncio.sleep(60)\n")),
    fits("timer with a summary", "Parcel", (NAP, f"{_IN}await workflow.sleep(3600, summary='a nap')\n")),
    fits(
        "timer becomes a condition with a limit",
        "Parcel",
        (NAP, f"{_IN}await workflow.wait_condition(bool, timeout=3600)\n"),
    ),
    fits(
        "later step renamed", "Parcel", (f"sticker + {DELIVER}", f"sticker + {DELIVER}".replace("steps.deliver", '"x"'))
    ),
    breaks("pending step renamed", "Stranded", "ActivityTaskScheduled ferry", (FERRY, FERRY.replace("ferry", "boat"))),
    breaks(
        "timer before the pending step",
        "Stranded",
        "ActivityTaskScheduled ferry",
        before(FERRY, "await asyncio.sleep(5)"),
    ),
    breaks("pending step removed", "Stranded", "ActivityTaskScheduled ferry", before(FERRY, "return code")),
    fits(
        "step beside the pending one",
        "Stranded",
        before(
            FERRY,
            'ship = workflow.execute_activity("ship", code, **AT_SEA)',
            "self.ship = asyncio.create_task(ship)",
        ),
    ),
    breaks("pending first timer becomes a step", "Deferred", "TimerStarted", (LONG_NAP, "")),
    breaks("pending first timer removed", "Deferred", "TimerStarted", before(LONG_NAP, "return code")),
    # Another module of the project
    elsewhere(
        "stations swapped", ('"weigh", "deliver"', '"deliver", "weigh"'), {"Routed": "ActivityTaskScheduled weigh"}
    ),
    elsewhere("station added", ('"deliver"]', '"deliver", "label"]'), {"Routed": "TimerStarted"}),
    elsewhere("break shorter", ("3600", "60"), {}),
    # Signals, updates, queries
    breaks(
        "signal: other step",
        "Desk",
        "ActivityTaskScheduled label",
        ("execute_activity(steps.label, note", "execute_activity(steps.deliver, note"),
    ),
    breaks(
        "signal removed",
        "Desk",
        "ActivityTaskScheduled label",
        ("    @workflow.signal\n    async def ring", "    async def ring"),
    ),
    breaks(
        "signal renamed",
        "Desk",
        "ActivityTaskScheduled label",
        ("    @workflow.signal\n    async def ring", "    @workflow.signal(name='bell')\n    async def ring"),
    ),
    breaks(
        "update: other step",
        "Desk",
        "ActivityTaskScheduled weigh",
        ("execute_activity(steps.weigh, question", "execute_activity(steps.deliver, question"),
    ),
    breaks("update removed", "Desk", "WorkflowExecutionUpdateAccepted", ("    @workflow.update\n", "")),
    fits("query removed", "Desk", ("    @workflow.query\n", "")),
    # Local activities, children, continue-as-new, patches
    breaks("local step renamed", "Onsite", "MarkerRecorded", (FIRST, FIRST.replace("steps.weigh", "steps.deliver"))),
    breaks("local steps swapped", "Onsite", "MarkerRecorded", (FIRST + SECOND, SECOND + FIRST)),
    breaks(
        "child: other type",
        "Consignment",
        "StartChildWorkflowExecutionInitiated Slip",
        ("workflow(Slip.run,", 'workflow("Leaf",'),
    ),
    breaks("child: other id", "Consignment", "StartChildWorkflowExecutionInitiated Slip", ("}-slip", "}-leaf")),
    breaks(
        "continue-as-new: other step",
        "Rounds",
        "ActivityTaskScheduled weigh",
        ("(steps.weigh, str(number)", "(steps.deliver, str(number)"),
    ),
    breaks("patched removed", "Patched", "MarkerRecorded", (PATCH, WEIGHED)),
    breaks("patch renamed", "Patched", "ActivityTaskScheduled weigh", ('"weigh-first"', '"weigh-last"')),
    breaks(
        "patch inverted",
        "Patched",
        "ActivityTaskScheduled weigh",
        ('if workflow.patched("', 'if not workflow.patched("'),
    ),
    fits(
        "patched becomes deprecate_patch",
        "Patched",
        (PATCH, f'{_IN}workflow.deprecate_patch("weigh-first")\n' + WEIGHED),
    ),
    fits("deprecate_patch removed", "Deprecating", (f'{_IN}workflow.deprecate_patch("long-ago")\n', "")),
    fits("new step behind patched", "Parcel", before(LABEL, "if workflow.patched('new'):", f"    {DELIVER.strip()}")),
    fits(
        "old steps behind patched",
        "Parcel",
        (WEIGH, f"{_IN}weight = ''\n{_IN}if workflow.patched('new'):\n    {ANOTHER}{_IN}else:\n    {WEIGH}"),
    ),
    # Chance, and the sandbox
    breaks("one draw more", "Lottery", "ActivityTaskScheduled *", before(f"{_IN}drawn = ", "draw.random()")),
    breaks("draw inverted", "Lottery", "ActivityTaskScheduled *", (DRAW, DRAW.replace("<", ">="))),
    breaks(
        "clock instead of a draw",
        "Lottery",
        "ActivityTaskScheduled *",
        (DRAW, DRAW.replace("draw.random() < 0.5", "__import__('time').time_ns() % 2")),
        raises=True,
    ),
    breaks(
        "opens a file",
        "Parcel",
        "ActivityTaskScheduled weigh",
        before(WEIGH, "open('/etc/hostname').close()"),
        raises=True,
    ),
    breaks(
        "random without the sandbox",
        "Unboxed",
        "ActivityTaskScheduled weigh",
        (
            f"{_IN}box = steps.weigh\n",
            f"{_IN}import random\n{_IN}box = steps.label if random.random() < 2 else steps.weigh\n",
        ),
    ),
    Edit(
        "endless loop",  # in a run of one task: the search for the first that loops would be more loops, each of 2 s
        (before(LONG_NAP, "while True:", "    pass"),),
        breaks={"Deferred": "TimerStarted"},
        raises=True,
        is_alone=True,
    ),
    fits(
        "blocks for a second",
        "Parcel",
        before(WEIGH, "import time", "with workflow.unsafe.sandbox_unrestricted():", "    time.sleep(1)"),
    ),
    # At the same time
    breaks("one lorry less", "Convoy", "ActivityTaskScheduled weigh", ("range(5)", "range(4)")),
    breaks("one lorry more", "Convoy", "TimerStarted", ("range(5)", "range(6)")),
    fits("lorries in another order", "Convoy", ("range(5)", "reversed(range(5))")),
    breaks(
        "lorries one after the other",
        "Convoy",
        "ActivityTaskScheduled weigh",
        (f"{_IN}lorries = range(5)\n", f"{_IN}lorries = range(4)\n{WEIGHED}"),
    ),
    # The worker and its program
    Edit(
        "type renamed beside a dynamic workflow",
        (("@workflow.defn\nclass Parcel:", "@workflow.defn(name='Packet')\nclass Parcel:"),),
        concerns=("Unheard",),
        breaks={"Parcel": "ActivityTaskScheduled weigh"},
    ),
    Edit("types not registered", (("    Parcel,\n", ""), ("    Anything,\n", "")), gone=("Parcel", "Unheard")),
    ends("syntax error", "SyntaxError", ("class Parcel:", "class Parcel(:")),
    ends("import error", "ImportError", ("from . import plan\n", "from . import nothing_like_that, plan\n")),
    ends("type registered twice", "ValueError", ("    Parcel,\n", "    Parcel,\n    Parcel,\n")),
    ends(
        "import that the sandbox refuses",
        "RuntimeError",
        ("from . import plan\n", "import random\n\nfrom . import plan\n\nLUCK = random.random()\n"),
    ),
)
BY_NAME = {edit.name: edit for edit in EDITS}
assert len(BY_NAME) == len(EDITS)
