"""`mika top` as text: what there is, and what of it fits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mika.cli.screen.top import render as top
from mika.cli.screen.width import width
from mika.diagnosis.model import Cause, Diagnosis, Poller
from mika.diagnosis.survey import Queue
from mika.doctor.workflows.listing import Row
from mika.machine.usage import Use
from mika.reason import Reason
from mika.stack.overview import Overview, Part
from mika.status import LastExit, Phase, StackStatus, UnitStatus
from mika.text import plain

API = UnitStatus(name="api", role="process", phase=Phase.READY, type="api", pid=7, listens=("127.0.0.1:8000",))
WORKER = UnitStatus(
    name="worker",
    role="process",
    phase=Phase.READY,
    pid=8123,
    restarts=2,
    last_exit=LastExit(-9, Reason("killed by SIGKILL"), 132.0),
)
TEMPORAL = UnitStatus(name="temporal", role="service", phase=Phase.READY, address="127.0.0.1:7233", pid=5)
STACK = StackStatus(
    state="ready", backend="embedded", supervisor_pid=6, uptime_s=7001.0, services=(TEMPORAL,), processes=(API, WORKER)
)
POLLER = Poller("worker@1", "default", "orders", 0.1, workflows=True, activities=True)
QUEUE = Queue("orders", 0, 0, 0.0, (POLLER,))
WAITING = Queue("mail", 12, 1, 7.5, (replace(POLLER, state="gone"),))
DONE = Row("process_message_" + "8bc6a514" * 4, "T", "q", "completed", 65.0, 1.5, Diagnosis(Cause.HEALTHY, "fine"))
HANGS = Row("order-17", "T", "q", "running", 4.0, None, Diagnosis(Cause.NO_WORKER, "no worker has taken it for 4 s"))
ALL = Overview(
    stack=Part(STACK),
    uses={"api": Use(None, 64.2), "worker": Use(132.4, 1250.0), "temporal": Use(2.34, 172.0)},
    queues=Part((QUEUE, WAITING)),
    workflows=Part((HANGS, DONE)),
)
CLOCK = "03:30:18"


def shown(overview: Overview, columns: int = 80, rows: int = 24) -> list[str]:
    lines = [plain(line) for line in top.render(overview, columns, rows, CLOCK)]
    assert len(lines) <= rows
    assert max(map(width, lines)) <= columns
    return lines


def test_on_a_small_terminal():
    assert shown(ALL) == [
        "ready  backend embedded, supervisor pid 6, up 2 h                       03:30:18",
        "",
        "NAME      STATE   PID   CPU  MEMORY  RESTARTS  PORTS",
        "api       ready     7         64 MB            8000",
        "worker    ready  8123  132%  1.2 GB         2",
        "    last exit 2 min ago: killed by SIGKILL",
        "temporal  ready     5  2.3%  172 MB            7233",
        "",
        "QUEUE   BACKLOG  OLDEST  POLLERS",
        "orders        0                1",
        "mail         13  7.5 s         0  12 workflow tasks, 1 activity; no worker poll…",
        "",
        "WORKFLOW  AGE    STATE      TOOK   CAUSE",
        "order-17  4.0 s  running           no_worker  no worker has taken it for 4 s",
        "8bc6a514  65 s   completed  1.5 s  healthy",
        "q quits",
    ]


def test_on_a_large_one_what_is_said_stands_beside():
    lines = shown(ALL, 200, 50)
    assert lines[4] == "worker    ready  8123  132%  1.2 GB         2         last exit 2 min ago: killed by SIGKILL"
    assert lines[0].endswith(CLOCK)
    assert len(lines[0]) == 200


def test_what_is_left_out_is_said_and_what_is_not_well_stays():
    units = [replace(API, name=f"p{number}") for number in range(29)]
    last = replace(API, name="last", phase=Phase.GAVE_UP, reason=Reason("no module", "`uv sync`"))
    many = replace(ALL, stack=Part(replace(STACK, processes=(*units, last), services=())))
    many = replace(many, workflows=Part(tuple(replace(DONE, id=f"order-{number}") for number in range(30))))
    lines = shown(many)
    at = next(number for number, line in enumerate(lines) if line.startswith("last "))
    assert lines[at].startswith("last  gave up  ")
    assert lines[at].endswith("no module: `uv sync`")
    assert lines[at + 1] == f"and {29 - (at - 3)} more, all well"
    assert "and 27 more, all well" in lines, "workflows keep four lines, however many processes there are"
    assert lines[-1] == "q quits"
    many = replace(ALL, stack=Part(replace(STACK, processes=tuple(units))))
    assert "more" not in "\n".join(shown(many, 200, 50))


def test_a_server_that_does_not_answer():
    silent = replace(
        ALL, queues=Part((QUEUE,), 12.3, Reason("no answer")), workflows=Part(None, 9, Reason("no answer"))
    )
    lines = shown(silent)
    at = lines.index("QUEUE   BACKLOG  POLLERS")
    assert lines[at + 1] == "no answer; what is shown is 12 s old"
    assert lines[at + 2].startswith("orders")
    assert lines[lines.index("WORKFLOW  AGE  STATE  TOOK  TRIES  CAUSE") + 1] == "no answer"
    lines = shown(replace(ALL, stack=Part(STACK, 130.0, Reason("the supervisor does not answer"))))
    assert lines[1] == "the supervisor does not answer; what is shown is 2 min old"


def test_without_a_stack_and_without_temporal():
    gone = Overview(stack=Part(None, 3.0, Reason("no stack is running in /shop", "start it: `mika up`")))
    assert shown(gone)[:2] == [f"no stack is running in /shop{CLOCK:>52}", "start it: `mika up`"]
    assert shown(gone)[-1] == "still looking; q quits"
    lines = shown(replace(ALL, queues=None, workflows=None))
    assert not any(line.startswith(("QUEUE", "WORKFLOW")) for line in lines)
    lines = shown(replace(ALL, queues=Part(()), workflows=Part(())))
    assert "no task queue is known" in lines


def test_one_view_has_neither_a_clock_nor_keys():
    text = "\n".join(top.render(ALL, 10_000, 10_000))
    assert "q quits" not in text
    assert "no worker polls it" in text, "nothing is cut"


ODD = st.text(max_size=70)


@given(names=st.lists(ODD, max_size=40), text=ODD, columns=st.integers(1, 220), rows=st.integers(1, 60))
def test_whatever_there_is_fits(names, text, columns, rows):
    units = tuple(
        replace(WORKER, name=name, phase=phase, reason=Reason(text), listens=(f"0.0.0.0:{len(name)}", "[::1]:80"))
        for name, phase in zip(names, [*Phase] * 5, strict=False)
    )
    odd = replace(
        ALL,
        stack=Part(replace(STACK, processes=units), 3.0, Reason(text)),
        queues=Part(tuple(replace(WAITING, name=name) for name in names), 2.0, Reason(text)),
        workflows=Part(tuple(replace(HANGS, id=name) for name in {*names})),
    )
    shown(odd, columns, rows)


@pytest.mark.parametrize(
    "overview", [ALL, Overview(), replace(ALL, queues=None, workflows=Part(None, 1, Reason("no")))]
)
def test_as_json(overview):
    found = json.loads(json.dumps(overview.as_json()))
    assert set(found) == {"version", "stack", "uses", "queues", "workflows"}
    if overview is ALL:
        assert found["stack"]["value"]["processes"][0]["name"] == "api"
        assert found["uses"]["worker"] == {"cpu_percent": 132.4, "memory_mb": 1250.0}
        assert found["queues"]["value"][1] == {
            "name": "mail",
            "workflow_tasks": 12,
            "activities": 1,
            "oldest_s": 7.5,
            "pollers": 0,
        }
        assert found["workflows"]["value"][0]["cause"] == "no_worker"
