"""The newest trouble in the log files."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mika.doctor.checks.log import last_trouble
from mika.doctor.examination import Examination
from mika.status import Phase, StackStatus, UnitStatus

from tests.kit.doctor import examine
from tests.kit.sources import make

PLAIN = """\
starting
Traceback (most recent call last):
  File "work.py", line 3, in <module>
    main()
ValueError: the first
going on
Traceback (most recent call last):
  File "work.py", line 3, in <module>
    main()
    ~~~~^^
pymongo.errors.ServerSelectionTimeoutError: 127.0.0.1:1: refused
bye"""
BLOCKED = """\
Timeout (0:00:04)!
Thread 0x00007e (most recent call first):
  File "/usr/lib/threading.py", line 7 in wait

Thread 0x00007f (most recent call first):
  File "/bot/activities.py", line 12 in ask_llm
  File "/usr/lib/asyncio.py", line 3 in run
{"event": "later"}
  File "/not/of/the/dump.py", line 1 in f"""
SYNTAX = """\
Traceback (most recent call last):
  File "/bot/main.py", line 1, in <module>
    import answers
  File "/bot/answers.py", line 7
    return
IndentationError: unexpected indent"""
IN_JSON = json.dumps({"event": "x", "exception": "Traceback (most recent call last):\n  File 'a'\nKeyError: 'user'"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, (6, "pymongo.errors.ServerSelectionTimeoutError: 127.0.0.1:1: refused")),
        (SYNTAX, (0, 'IndentationError: unexpected indent (File "/bot/answers.py", line 7)')),
        (IN_JSON, (0, "KeyError: 'user'")),
        (BLOCKED, (0, 'the event loop was blocked: File "/bot/activities.py", line 12 in ask_llm')),
        ("Traceback (most recent call last):", (0, "a traceback")),
        ('{"event": "no Traceback (most recent call last) here", "exception": ""}', None),
        ("{Traceback (most recent call last)", None),
        ("Traceback (most recent call last):\n  File 'a'\nKeyboardInterrupt", None),
        ("all is well", None),
        ("", None),
    ],
)
def test_the_last_trouble_of_a_log(text: str, expected: tuple[int, str] | None) -> None:
    assert last_trouble(text.splitlines()) == expected


def test_a_traceback_in_a_log_is_quoted_with_its_file(tmp_path: Path) -> None:
    logs = tmp_path / ".mika" / "logs"
    logs.mkdir(parents=True)
    (logs / "worker.log").write_text(PLAIN, encoding="utf-8")
    (logs / "mika.log").write_text(PLAIN, encoding="utf-8")  # the event log is no program's output
    found = examine(tmp_path, MIKA_BACKEND="none")["logs"]
    assert found.status == "warn"
    assert found.finding.startswith(f"{Path('.mika/logs/worker.log')}, ")
    assert found.finding.endswith("ServerSelectionTimeoutError: 127.0.0.1:1: refused")
    (logs / "worker@2.1.log").write_text(PLAIN, encoding="utf-8")
    os.utime(logs / "worker.log", (1, 1))
    second = examine(tmp_path, MIKA_BACKEND="none")["logs"]
    assert second.finding.startswith(f"{Path('.mika/logs/worker@2.1.log')}, "), "the file that there is"
    assert second.fix == "`mika logs worker.2 -n 60` shows all of it"
    (logs / "worker@2.1.log").unlink()
    os.utime(logs / "worker.log", (1, 1))
    assert examine(tmp_path, MIKA_BACKEND="none")["logs"].status == "ok"


def test_the_log_of_what_is_no_more_in_the_stack_is_of_no_interest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / ".mika" / "logs"
    logs.mkdir(parents=True)
    (logs / "gone.log").write_text(PLAIN, encoding="utf-8")
    web = UnitStatus(name="web.1", role="process", type="web", phase=Phase.READY)
    running = StackStatus(state="ready", backend="none", supervisor_pid=1, uptime_s=1.0, processes=(web,))

    async def status(_exam: Examination) -> StackStatus:
        return running

    monkeypatch.setattr(Examination, "status", status)
    assert examine(tmp_path, MIKA_BACKEND="none")["logs"].status == "ok"
    (logs / "web@1.log").write_text(PLAIN, encoding="utf-8")
    assert examine(tmp_path, MIKA_BACKEND="none")["logs"].fix == "`mika logs web.1 -n 60` shows all of it"
    running = replace(running, processes=(replace(web, uptime_s=5.0),))
    old = time.time() - 60
    os.utime(logs / "web@1.log", (old, old))
    assert examine(tmp_path, MIKA_BACKEND="none")["logs"].status == "ok", "it was before a start that went well"
    running = replace(running, processes=(replace(web, uptime_s=5.0, restarts=1),))
    assert examine(tmp_path, MIKA_BACKEND="none")["logs"].status == "warn"


@pytest.mark.parametrize(
    ("error", "frame", "fix"),
    [
        ("ModuleNotFoundError: No module named 'yaml'", "worker.py", "-m pip install -r requirements.txt` installs"),
        (
            "e.ValidationError: 1 validation error for Settings\nmodel\n  Field required [type=missing, input={}]",
            "a.py",
            "set what is required in",
        ),
        ("KeyError: 'MODEL'", "<frozen os>", "set MODEL in .env; `mika logs worker -n 60` shows all of it"),
    ],
)
def test_what_a_traceback_is_known_to_need(tmp_path: Path, error: str, frame: str, fix: str) -> None:
    text = f'Traceback (most recent call last):\n  File "{frame}", line 1, in __getitem__\n{error}\ngoing on\n'
    make(tmp_path, {".mika/logs/worker.log": text, "requirements.txt": "pyyaml\n"})
    assert fix in examine(tmp_path, MIKA_BACKEND="none")["logs"].fix
