"""What names a workflow in the logs: with its traceback, in order of time, bounded, from all segments."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from mika.cli.log_filter import LogFilter
from mika.cli.logs import _moment as moment_of
from mika.cli.screen.story import render_story
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.timeline import Entry
from mika.doctor.workflows.own_lines import OwnLine, OwnLines
from mika.doctor.workflows.story import Story
from mika.errors import UsageError
from mika.guard.segments import SegmentWriter
from mika.project.log_search import Found, Naming, find
from mika.project.logs import EVENT_LOG, Line
from mika.text import plain

ID = "process_message_8bc6a5140c134a04"
TRACE = """\
worker: order failed in process_message_8bc6a5140c134a04
Traceback (most recent call last):
  File "work.py", line 3, in order
    raise KeyError("a")
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "work.py", line 5, in order
    raise ValueError("b")
ValueError: b
something else
  indented, and of something else
"""


def write(folder: Path, name: str, *chunks: str, most: int = 1 << 30) -> None:
    writer = SegmentWriter(str(folder), name, most)
    for chunk in chunks:
        writer.write(chunk.encode())
    assert writer.error is None
    writer.close()


def search(folder: Path, *names: str, **options: float) -> Found:
    values = {"since": 0, "until": time.time() + 1, "first": 20, "last": 30, "limit": 10} | options
    return find(folder, names, ID, **values)  # type: ignore[arg-type]


def texts(found: Found) -> list[str]:
    return [hit.text for hit in (*found.first, *found.last)]


def test_a_traceback_belongs_to_the_line_above_it(tmp_path: Path) -> None:
    write(tmp_path, "worker", "before\n", *(TRACE[at : at + 37] for at in range(0, len(TRACE), 37)))
    expected = [line for line in TRACE.splitlines()[:-2] if line]
    assert texts(search(tmp_path, "worker")) == expected
    wanted = LogFilter(workflow=Naming("8bc6a514"))
    lines = [
        line for line in TRACE.splitlines() if wanted.matches("worker", Line(0.0, line.encode(), is_complete=True))
    ]
    assert lines == expected, "`mika logs --workflow` shows the same"


NODE = """\
2026-11-30T05:38:36.941Z [WARN] Activity failed {
  isLocal: false,
  taskToken: 'CiQwMWEyMmFmNi0xZThmLTczNzM=',
  workflowId: 'process_message_8bc6a5140c134a04',
  workflowType: 'helloWorkflow',
  error: ApplicationFailure: smtp down
      at helloWorld (/app/activities.js:4:28)
      at run (/app/node_modules/@temporalio/worker/lib/activity.js:82:26)
      at AsyncLocalStorage.run (node:async_hooks:346:14) {
    cause: undefined,
    type: 'MailError',
    details: [ [Object] ]
  },
  durationMs: 0
}
"""


def test_a_record_of_node_that_names_it_in_a_field_is_shown_from_its_head(tmp_path: Path) -> None:
    write(tmp_path, "worker", "others\n", NODE, NODE.replace("smtp", "imap"), "more\n")
    assert texts(search(tmp_path, "worker")) == [
        line
        for error in ("smtp", "imap")
        for line in (
            "2026-11-30T05:38:36.941Z [WARN] Activity failed {",
            f"  error: ApplicationFailure: {error} down",
            "      at helloWorld (/app/activities.js:4:28)",
            "    type: 'MailError',",
            "    details: [ [Object] ]",
        )
    ]


def test_what_is_only_there_to_be_translated_is_not_searched() -> None:
    event = (
        b'{"kind": "exited", "name": "api", "at": 1.0, "reason": "exit code 3", "texts": [[["reason"], "hidden", {}]]}'
    )
    line = Line(0.0, event, is_complete=True)
    assert LogFilter(re.compile("exit code 3")).matches(EVENT_LOG, line)
    assert not LogFilter(re.compile("hidden")).matches(EVENT_LOG, line)
    assert LogFilter(re.compile("hidden")).matches("api", line), "a program's own words are all its own"


@pytest.mark.parametrize("line", [f"{ID}-retry-1", f"x-{ID}", f"{ID}0", f"{ID[:-1]}"])
def test_another_id_that_contains_this_one(tmp_path: Path, line: str) -> None:
    write(tmp_path, "worker", f"{line}\n{ID}: yes\n/workflows/{ID}/x\n")
    assert texts(search(tmp_path, "worker")) == [f"{ID}: yes", f"/workflows/{ID}/x"]


def test_the_logs_of_several_processes_by_the_times_in_their_lines(tmp_path: Path) -> None:
    now = time.time()
    for name, offsets in {"api": (0.1, 0.4), "worker": (0.2, 0.3)}.items():
        lines = (json.dumps({"event": f"{name} {offset}", "ts": now + offset, "workflow_id": ID}) for offset in offsets)
        write(tmp_path, name, "\n".join(lines))
    found = search(tmp_path, "api", "worker")
    assert [hit.name for hit in found.first] == ["api", "worker", "worker", "api"]
    assert [round(hit.time - now, 3) for hit in found.first] == [0.1, 0.2, 0.3, 0.4]


def test_a_time_of_another_zone_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path, "worker", json.dumps({"event": "x", "ts": time.time() + 7200, "workflow_id": ID}))
    assert abs(search(tmp_path, "worker").first[0].time - time.time()) < 5


def test_of_many_lines_the_first_and_the_last_ones(tmp_path: Path) -> None:
    write(tmp_path, "worker", *(f"{ID} w {number}\n" for number in range(5000)))
    write(tmp_path, "api", f"{ID} last\n")
    found = search(tmp_path, "api", "worker", first=2, last=3)
    assert [hit.text for hit in found.first] == [f"{ID} w 0", f"{ID} w 1"]
    assert [hit.text for hit in found.last] == [f"{ID} w 4998", f"{ID} w 4999", f"{ID} last"]
    assert (found.left_out, found.is_complete) == (4996, True)


def test_segments_that_were_begun_since(tmp_path: Path) -> None:
    write(
        tmp_path,
        "worker",
        f"{ID} first\n",
        *(f"noise {number}\n" * 100 for number in range(300)),
        f"{ID} last\n",
        most=1 << 20,
    )
    assert len(list(tmp_path.glob("worker*.log"))) > 1
    assert texts(search(tmp_path, "worker")) == [f"{ID} first", f"{ID} last"]


def test_only_what_was_written_in_its_time(tmp_path: Path) -> None:
    write(tmp_path, "worker", f"{ID} early\n")
    time.sleep(0.3)
    began = time.time()
    write(tmp_path, "worker", f"{ID} mine\n")
    time.sleep(0.3)
    ended = time.time()
    write(tmp_path, "worker", f"{ID} late\n")
    assert texts(search(tmp_path, "worker", since=began - 0.1, until=ended - 0.1)) == [f"{ID} mine"]


@pytest.mark.alone
def test_large_logs_are_quickly_searched_and_a_limit_is_kept(tmp_path: Path) -> None:
    block = "".join(f'{{"event": "something_else", "n": {number}, "more": "{"x" * 50}"}}\n' for number in range(10_000))
    write(tmp_path, "worker", *([block, f"{ID}\n"] * 110))
    began = time.monotonic()
    found = search(tmp_path, "worker")
    took = time.monotonic() - began
    assert found.is_complete
    assert len(found.first) + len(found.last) + found.left_out == 110
    assert took < 2, "100 MB"
    began = time.monotonic()
    assert not search(tmp_path, "worker", limit=0.0).is_complete
    assert time.monotonic() - began < took


def story(log: OwnLines) -> Story:
    timeline = (Entry(0.0, "started"), Entry(0.3, "completed"))
    return Story(ID, "r", "completed", 4.0, None, Diagnosis(Cause.HEALTHY, "well"), timeline, log)


def test_the_timeline_has_the_lines_in_their_place() -> None:
    record = json.dumps(
        {"event": "answered", "level": "info", "workflow_id": ID, "attempt": 1, "exception": "T\n  f\nE"}
    )
    text = plain(render_story(story(OwnLines((OwnLine(0.1, "worker", record), OwnLine(-0.1, "api", "text")))), Path()))
    assert text.splitlines()[1:8] == [
        "     0.00 s  api    | text",
        "     0.00 s  started",
        "     0.10 s  worker | INFO  answered  attempt=1",
        "             worker |   T",
        "             worker |     f",
        "             worker |   E",
        "     0.30 s  completed",
    ]


def test_lines_that_are_left_out_are_counted_and_the_command_has_them() -> None:
    log = OwnLines((OwnLine(0.1, "worker", "a"),), (OwnLine(0.2, "worker", "b"),), 4950, is_complete=False)
    rows = plain(render_story(story(log), Path())).splitlines()
    assert f"4950 lines of the logs left out: `mika logs --workflow {ID}` shows all" in rows[3]
    assert (rows[2][-10:], rows[4][-10:]) == ("worker | a", "worker | b")
    assert "not read to their end" in rows[6]
    shown = story(log).as_json()["log"]
    assert shown == {
        "lines": [
            {"after_s": 0.1, "process": "worker", "text": "a"},
            {"after_s": 0.2, "process": "worker", "text": "b"},
        ],
        "left_out": 4950,
        "complete": False,
    }


def test_a_clock_means_the_last_time_that_it_showed_that() -> None:
    now = time.time()
    for ago in (60, 3600, 23 * 3600):
        shown = time.localtime(now - ago)
        for text in (time.strftime("%H:%M", shown), time.strftime("%H:%M:%S", shown)):
            moment = moment_of("--since", text)
            assert moment is not None
            assert abs(now - ago - moment) < 61, text
    with pytest.raises(UsageError, match="'25:00' is not a time"):
        moment_of("--since", "25:00")


@pytest.mark.parametrize(
    ("line", "is_it"),
    [
        ("{'activity_type': 'big', 'workflow_id': 'other'}", False),
        ("a big order", False),
        ("workflow_type=big workflow_id=bigger", False),
        ("{'activity_type': 'other', 'workflow_id': 'big'}", True),
        ('{"workflowId":"big"}', True),
        ("WorkflowID big RunID 1", True),
        ("started workflow `big`", True),
    ],
)
def test_an_id_that_is_a_word_is_found_where_an_id_stands(tmp_path: Path, line: str, is_it: bool) -> None:
    write(tmp_path, "worker", f"{line}\n")
    found = find(tmp_path, ["worker"], "big", since=0, until=time.time() + 1, first=20, last=30, limit=10)
    assert texts(found) == ([line] if is_it else [])


def test_the_head_of_a_record_of_node_that_names_another_workflow_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "worker", "Activity failed {\n  workflowId: 'other',\n  activityType: 'big',\n}\n")
    found = find(tmp_path, ["worker"], "big", since=0, until=time.time() + 1, first=20, last=30, limit=10)
    assert texts(found) == []
