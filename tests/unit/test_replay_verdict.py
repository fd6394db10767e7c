"""What a check says of what the hook has reported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mika.cli.process import _refusal
from mika.replay.check import runs_python
from mika.replay.lines import Report
from mika.replay.program import Outcome
from mika.replay.verdict import Verdict, judge
from mika.wording import Text, _

PROJECT = Path("/project")


def worker(
    number: int = 0, queue: str = "orders", types: tuple[str, ...] = ("Order",), activities: tuple[str, ...] = ()
) -> dict[str, object]:
    return {
        "kind": "worker",
        "pid": 1,
        "number": number,
        "queue": queue,
        "types": types,
        "activities": activities,
        "files": ["/project/wf.py"],
    }


def done(
    number: int = 0,
    unknown: dict[str, object] | None = None,
    missing: tuple[tuple[str, str, int, str], ...] = (),
    late: int = 0,
    **counts: int,
) -> dict[str, object]:
    return {
        "kind": "done",
        "pid": 1,
        "number": number,
        "counts": counts,
        "unknown": unknown or {},
        "missing": missing,
        "late": late,
    }


def misfit(run: str = "order-1", **changes: object) -> dict[str, object]:
    return {
        "kind": "misfit",
        "id": run,
        "run": f"run of {run}",
        "type": "Order",
        "status": "RUNNING",
        "raises": False,
        "text": "Nondeterminism error",
        "where": ["/project/wf.py", 17],
        "event": [5, "ActivityTaskScheduled", "charge"],
        "asked": ["activity", "notify"],
        "reset_to": 4,
        "was_stuck": False,
        **changes,
    }


def verdict(*lines: dict[str, object], end: str = "done", printed: tuple[str, ...] = ()) -> Verdict:
    report = Report()
    for line in lines:
        report.add(line)
    return judge("worker", PROJECT, Outcome(report, end, 1.0, printed), ["orders"])  # type: ignore[arg-type]


def texts(checked: Verdict) -> list[str]:
    return [reason.text for reason in checked.reasons()]


HOOK: dict[str, object] = {"kind": "hook", "python": "3.11"}


def test_what_fits_may_replace_the_old_code():
    checked = verdict(HOOK, worker(), done(good=3, open_good=2, late=4))
    assert (checked.state, checked.refuses) == ("fits", False)
    assert texts(checked) == ["the new code fits 3 runs, 2 of them open (4 more with the same steps were not replayed)"]


def test_runs_that_do_not_fit_are_one_line_with_event_place_and_command():
    checked = verdict(HOOK, worker(), misfit(), misfit("order-2"), done(bad=2))
    assert (checked.state, checked.refuses) == ("misfit", True)
    (reason,) = checked.reasons()
    assert reason.text == (
        f"the new code does not fit 2 open runs of Order (order-1, order-2): at event 5 (ActivityTaskScheduled charge)"
        f" it asks for the activity notify ({Path('wf.py')}:17)"
    )
    assert "`mika restart worker --force`, then `mika workflows reset --stuck` when they hang" in reason.fix, "both"
    (alone,) = verdict(HOOK, worker(), misfit(), done(bad=1)).reasons()
    assert "`mika restart worker --force`, then `mika workflows reset order-1 --to 4` or `mika" in alone.fix


def test_a_restart_that_is_refused_says_why_to_programs_too():
    checked = verdict(HOOK, worker(), misfit(), misfit("order-2", status="COMPLETED"), done(bad=2))
    said = _refusal([checked])
    assert said.startswith("worker: not restarted: the new code does not fit 1 open run of Order (order-1): at event 5")
    assert "\n" not in said


def test_what_has_deprecate_patch_is_not_told_to_guard_the_change(tmp_path):
    flow = tmp_path / "wf.py"
    flow.write_text('workflow.deprecate_patch("notify-first")\n', encoding="utf-8")
    (reason,) = verdict(HOOK, worker(), misfit(where=[str(flow), 1]), done(bad=1)).reasons()
    assert reason.fix.startswith(
        "keep `workflow.patched` until no run of before is open (`deprecate_patch` guards none);"
    )


def test_a_closed_run_that_does_not_fit_is_in_nobodys_way():
    (reason,) = verdict(HOOK, worker(), misfit(status="COMPLETED"), done(bad=1)).reasons()
    assert "`mika check --closed 0`" in reason.fix


@pytest.mark.parametrize("changes", [{"was_stuck": True}, {"status": "COMPLETED"}], ids=["stuck before", "closed"])
def test_what_the_old_code_cannot_go_on_with_either_is_told_and_no_reason_to_keep_it(changes):
    checked = verdict(HOOK, worker(), misfit(**changes), done(bad=1))
    assert (checked.state, checked.refuses) == ("misfit", False)
    assert len(texts(checked)) == 1


def test_a_type_that_is_gone_is_refused_unless_another_worker_of_the_queue_has_it():
    gone = {"Order": [2, "order-1"]}
    alone = verdict(HOOK, worker(types=("Other",)), done(unknown=gone))
    assert alone.refuses
    assert alone.gone == {"Order": (2, "order-1")}
    assert texts(alone) == ["the new code has no workflow Order any more, and 2 runs of it are open (order-1, …)"]
    (fix,) = [reason.fix for reason in alone.reasons()]
    assert fix.endswith("""`mika workflows terminate --query "WorkflowType='Order' AND ExecutionStatus='Running'"`""")
    (fix,) = [r.fix for r in verdict(HOOK, worker(types=("Other",)), done(unknown={"Order": [1, "order-1"]})).reasons()]
    assert fix.endswith("`mika workflows terminate order-1`")
    both = verdict(HOOK, worker(types=("Other",)), worker(1), done(unknown=gone), done(1, good=2))
    assert not both.refuses
    assert not both.gone


def test_an_activity_that_an_open_run_waits_for_is_refused_if_it_is_gone():
    missing = (("orders", "charge", 2, "order-1"),)
    gone = verdict(HOOK, worker(activities=("notify",)), done(good=2, missing=missing))
    assert (gone.state, gone.refuses) == ("misfit", True)
    (reason,) = gone.reasons()
    assert reason.text == "the new code has no activity charge, and 2 open runs wait for it (order-1, …)"
    assert reason.fix.endswith("or end each of them, for example `mika workflows terminate order-1`")


@pytest.mark.parametrize(
    "workers",
    [
        [worker(activities=("notify",)), worker(1, types=(), activities=("charge",))],
        [worker(activities=("notify", "*"))],
        [worker(activities=())],
        [worker(queue="invoices", activities=("notify",))],
    ],
    ids=["another worker has it", "a dynamic activity", "no worker of activities", "no worker of the queue"],
)
def test_an_activity_that_somebody_else_may_have_is_not_gone(workers):
    checked = verdict(HOOK, *workers, done(good=2, missing=(("orders", "charge", 2, "order-1"),)))
    assert checked.state == "fits"


def test_a_program_that_ends_with_an_error_is_refused_with_its_line():
    where = ["/project/wf.py", 13]
    error = {"kind": "error", "type": "SyntaxError", "text": "invalid syntax", "where": where, "missing": ""}
    checked = verdict(HOOK, error, end="exited", printed=("SyntaxError: invalid syntax",))
    assert checked.refuses
    assert texts(checked) == [f"the new code does not start: SyntaxError: invalid syntax ({Path('wf.py')}:13)"]
    silent = verdict(HOOK, end="exited", printed=("usage: worker QUEUE",))
    assert silent.refuses
    assert "usage: worker QUEUE" in texts(silent)[0]


@pytest.mark.parametrize(
    ("lines", "end", "words"),
    [
        ([], "unhooked", "Python ignores mika's hook"),
        ([], "timeout", "no Python was started"),
        ([HOOK], "timeout", "made no Worker"),
        ([HOOK, worker()], "timeout", "the workers of orders were not done"),
        ([HOOK, {"kind": "unknown_sdk", "what": "Worker.create"}], "exited", "it has no Worker.create"),
        ([HOOK, {"kind": "unconnected", "text": "refused"}], "exited", "reached no Temporal server"),
        ([HOOK], "exited", "exited without a Worker"),
        ([HOOK, worker(), {"kind": "unread", "id": "order-1", "text": "deleted"}, done(good=1)], "done", "order-1 was"),
        ([HOOK, worker(), {"kind": "broken", "pid": 1, "number": 0, "text": "a\nboom"}], "done", "boom"),
        ([HOOK, worker(), {**done(good=1), "more_open": True}], "done", "more open runs"),
        ([HOOK, worker(), done(missed=2)], "done", "2 runs were not checked"),
    ],
)
def test_what_could_not_be_checked_is_named_and_refuses_nothing(lines, end, words):
    checked = verdict(*lines, end=end)
    assert (checked.state, checked.refuses) == ("unchecked", False)
    assert words in texts(checked)[0]


def test_a_server_that_was_not_reached_may_be_one_that_runs_and_hangs():
    """`mika up` attaches to that, and changes nothing."""
    checked = verdict(HOOK, {"kind": "unconnected", "text": "refused"}, end="exited")
    assert [reason.fix for reason in checked.reasons()] == ["`mika doctor` says why"]


def test_why_a_history_was_not_replayed_can_be_said_in_another_language():
    why = _("its {count} events took too long to replay", count=9)
    (reason, _fits) = verdict(HOOK, worker(), {"kind": "unread", "id": "order-1", "text": why}, done(good=1)).reasons()
    chinese = {"{run} was not checked: {why}": "{run} 没有检查：{why}", why.template: "{count} 个事件太多"}
    assert isinstance(reason.text, Text)
    assert reason.text.translated(lambda template: chinese[template]) == "order-1 没有检查：9 个事件太多"


def test_only_commands_that_surely_run_python_are_run_without_a_live_process(tmp_path):
    script = tmp_path / "worker"
    script.write_text(f"#!{sys.executable}\n", encoding="utf-8")
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\n", encoding="utf-8")
    for file in (script, other):
        file.chmod(0o700)
    path = os.environ["PATH"]
    for command in (["python", "-m", "w"], ["/v/bin/python3.12", "w.py"], ["uv", "run", "-m", "w"], [str(script)]):
        assert runs_python(command, tmp_path, path), command
    for command in (["go", "run", "."], ["/bin/sh", "-c", "python w.py"], ["uv", "run", "other"], [str(other)], []):
        assert not runs_python(command, tmp_path, path), command
