"""Where a history can be cut, what runs again then, and the names of the files that histories are exported to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mika.doctor.workflows import boundaries, reset
from mika.doctor.workflows.export import file_name
from mika.reason import Reason
from mika.replay.lines import Misfit
from mika.replay.verdict import Verdict
from mika.stack import last_good

from tests.kit.temporal_protos import (
    DONE,
    NON_DETERMINISTIC,
    STARTED,
    TAKEN,
    TASK,
    UNHANDLED,
    described,
    events,
    task_failed,
)

RESET = 20


def scheduled(name: str, task: int) -> tuple[str, float, dict[str, Any]]:
    attributes = {"activity_type.name": name, "workflow_task_completed_event_id": task}
    return ("ACTIVITY_TASK_SCHEDULED", 0.3, attributes)


def completed(scheduled_id: int) -> tuple[str, float, dict[str, Any]]:
    return ("ACTIVITY_TASK_COMPLETED", 0.5, {"scheduled_event_id": scheduled_id})


# charge; then mail and pack in parallel, of which only mail has ended; its task fails.
HISTORY = events(
    *(STARTED, TASK, TAKEN, DONE, scheduled("charge", 4), completed(5)),
    *(TASK, TAKEN, DONE, scheduled("mail", 9), scheduled("pack", 9), completed(10)),
    *(TASK, TAKEN, task_failed("typo")),
)


def test_a_reset_goes_to_the_end_of_a_workflow_task():
    assert boundaries.boundaries(HISTORY) == [4, 9, 15]
    assert boundaries.boundaries(HISTORY[:8]) == [4, 8]  # a task that a worker has
    assert boundaries.boundaries(HISTORY[:2]) == []


def test_attempts_that_are_not_written_are_no_place_for_a_reset():
    """The server shows them at the end of a history, with ids that it will give away again."""
    shown = events(STARTED, TASK, TAKEN, task_failed("typo"), TASK, TAKEN)
    for event in shown[-2:]:
        event.task_id = 0
    assert boundaries.boundaries(shown) == [4]
    assert boundaries.failing_task(shown) == 4


@pytest.mark.parametrize(
    ("to", "again"), [(4, ["charge", "mail", "pack"]), (9, ["mail", "pack"]), (12, ["mail", "pack"]), (15, ["pack"])]
)
def test_what_runs_again(to, again):
    """What is asked for later, and what had not ended by then: its result is lost with the old run."""
    assert boundaries.runs_again(HISTORY, to) == again


def test_what_runs_again_several_times_is_counted():
    history = events(STARTED, TASK, TAKEN, DONE, scheduled("mail", 4), scheduled("mail", 4))
    assert boundaries.runs_again(history, 4) == ["mail (2 times)"]


def test_the_task_that_asked_for_an_activity():
    assert boundaries.of_activity(HISTORY, "pack") == 9
    assert boundaries.of_activity(HISTORY, "ship") is None
    assert boundaries.activities(HISTORY) == ["charge", "mail", "pack"]


def test_the_task_that_fails():
    assert boundaries.failing_task(HISTORY) == 15
    assert boundaries.failing_task(HISTORY[:12]) is None


def test_a_run_that_a_reset_has_made():
    assert not boundaries.was_reset(HISTORY)
    name, when, attributes = task_failed("reset", RESET)
    assert boundaries.was_reset(events(STARTED, TASK, TAKEN, (name, when, attributes | {"base_run_id": "a"})))


@pytest.mark.parametrize(("cause", "warns"), [(NON_DETERMINISTIC, False), (UNHANDLED, True)])
def test_code_that_raises_in_the_current_step_fits_the_replay(cause, warns):
    """So it is tried again at once, and the list says on what that depends."""
    history = [*HISTORY[:-1], *events(*[TASK] * 14, task_failed("typo", cause))[-1:]]
    info = described("running").workflow_execution_info
    step = reset._try_again(None, reset.Run(info, history, is_stuck=True))
    assert step.does == "reset to event 15"
    assert ("goes on only if this is fixed: ValueError: typo" in step.more) == warns
    healthy = reset._try_again(None, reset.Run(info, history[:12], is_stuck=False))
    assert healthy.needless
    assert healthy.act is None


@pytest.mark.parametrize("workflow_id", ["order-17", "Bestellung Nr. 5", "订单-17", "a" * 100])
def test_an_id_that_every_system_takes_is_the_name_of_its_file(workflow_id):
    assert file_name(workflow_id) == workflow_id


@pytest.mark.parametrize(
    "workflow_id",
    ["a/b", "a\\b", "a:b", "..", "../../x", "CON", "nul.json", "com1", "a.", "a ", "x" * 1000, "a\nb", '"?*'],
)
def test_any_other_id_gets_a_name_that_is_as_unique(workflow_id):
    name = file_name(workflow_id)
    assert name != workflow_id
    assert not set(name) & set('<>:"/\\|?*\n')
    assert name.strip(". ") == name
    assert name.partition(".")[0].lower() not in ("con", "nul", "com1")
    assert len(name) < 120
    assert name != file_name(workflow_id + "_")


def misfit(run: str, *, raises: bool = False, reset_to: int | None = 9) -> Misfit:
    return Misfit(
        id="order", run_id=run, type="Order", is_open=True, was_stuck=True, raises=raises, text="KeyError: typo",
        event=None, asked=None, place=None, reset_to=reset_to,
    )  # fmt: skip


def test_the_last_good_event_of_each_run(monkeypatch):
    """Of a run that no process has replayed, why not."""
    verdict = Verdict(
        process="worker",
        project=Path(),
        fitting=frozenset({("order", "fits")}),
        misfits=(misfit("late"), misfit("raises", raises=True)),
        unchecked=(Reason("other was not checked"),),
    )
    monkeypatch.setattr(last_good, "check", lambda *_, **__: [verdict])
    runs = [("order", each) for each in ("fits", "late", "raises", "other")]
    answers = last_good.last_good(None, None, runs)
    assert answers["order", "fits"] is None
    assert answers["order", "late"] == 9
    raises = answers["order", "raises"]
    assert isinstance(raises, Reason)
    assert "no reset helps" in raises.text
    assert answers["order", "other"] == Reason("other was not checked")
