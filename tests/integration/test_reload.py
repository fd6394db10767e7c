"""`mika up --watch`: a change of its files restarts a process, once, gracefully."""

from __future__ import annotations

import pytest

from tests.kit.machine import poll_until
from tests.kit.programs import SLEEP, SLOW_STOP
from tests.kit.project import Project

WATCH = {"web": SLEEP, "clock": SLEEP}
WATCHED = {
    "web": SLOW_STOP.format(seconds=0.3),
    "clock": SLEEP,
    "prompt": "print(open('prompts/hello.txt').read(), flush=True)\n" + SLEEP,
    "slow": SLOW_STOP.format(seconds=1.5),
    # It imports what no source tells: then the folder decides.
    "hidden": "import importlib, sys\nsys.path.insert(0, '.')\nimportlib.import_module('co' + 'de')\n" + SLEEP,
}
PROCFILE = "".join(f"{name}: python {name}.py\n" for name in ("web", "clock", "prompt", "slow"))
PROCFILE += "a: python ../hidden.py\nb: python ../hidden.py\n"
RULES = """
[process.web]
watch = ["lib/**/*.py", "*.html"]
[process.clock]
watch = ["clock.py"]
[process.slow]
watch = ["slow.py"]
[process.a]
cwd = "a"
[process.b]
cwd = "b"
"""


def starts(this, name):
    return len(this.events("started", name))


@pytest.fixture(scope="module")
def _shared_watched(tmp_path_factory):
    with Project(tmp_path_factory.mktemp("watched"), PROCFILE, scripts=WATCHED, toml=RULES) as this:
        for file in ("lib/a.py", "a/code.py", "b/code.py"):
            this.write(file, "")
        this.write("prompts/hello.txt", "good morning")
        this.up("--watch")
        yield this


@pytest.fixture
def watched(_shared_watched):
    """Each of its processes is the business of one test."""
    return _shared_watched


def test_a_burst_of_saves_is_one_restart_of_those_concerned(watched):
    for number in range(20):
        watched.write(f"lib/part{number}.py", "x = 1\n")
    watched.write("page.html", "hello")
    poll_until(lambda: starts(watched, "web") == 2, 15, "the restart of web")
    watched.wait_state("web", "ready")
    assert "stopped" in watched.log("web"), "it was given time to stop"
    assert starts(watched, "clock") == 1
    assert watched.unit("web")["restarts"] == 0, "a change is no failure"
    # One more change, so that a second restart for the burst would have been seen by now.
    watched.write("clock.py", SLEEP + "# changed\n")
    poll_until(lambda: starts(watched, "clock") == 2, 15, "the restart of clock")
    assert starts(watched, "web") == 2


def test_a_prompt_is_read_at_the_start(watched):
    watched.write("prompts/hello.txt", "good evening")
    poll_until(lambda: "good evening" in watched.log("prompt"), 15, "the new prompt")


def test_a_save_while_a_restart_is_under_way_is_one_more_with_the_last_code(watched):
    before = starts(watched, "slow")
    watched.write("slow.py", SLOW_STOP.format(seconds=0.1) + "# first\n")
    poll_until(lambda: "stopping slowly" in watched.log("slow"), 15, "it is asked to stop")
    for number in range(3):
        watched.write("slow.py", f"print('code {number}', flush=True)\n" + SLEEP)
    poll_until(lambda: "code 2" in watched.log("slow"), 15, "the last code runs")
    watched.wait_state("slow", "ready")
    assert starts(watched, "slow") - before in (1, 2)
    assert "code 0" not in watched.log("slow")


def test_an_edit_in_one_folder_concerns_the_process_of_that_folder(watched):
    watched.write("a/code.py", "x = 1\n")
    poll_until(lambda: starts(watched, "a") == 2, 15, "the restart of a")
    watched.write("b/code.py", "x = 1\n")
    poll_until(lambda: starts(watched, "b") == 2, 15, "the restart of b")
    assert starts(watched, "a") == 2


def test_what_git_ignores_changes_nothing_and_a_change_revives_only_what_gave_up(project):
    this = project(scripts=WATCH)
    this.write(".gitignore", "generated/\n*.gen.py\n")
    this.write("generated/x.py", "")
    this.up("--watch")
    this.write("generated/x.py", "x = 1\n")
    this.write("a.gen.py", "x = 1\n")
    this.write("notes.txt", "no Python")
    this.write("seen.py", "x = 1\n")  # the one that counts, and the last
    poll_until(lambda: starts(this, "web") == 2, 15, "the restart of web")
    reasons = [event["message"] for event in this.events("notice", "web")]
    assert reasons == ["seen.py changed"]

    this.write("web.py", "import nothing_of_that_name\n")
    this.wait_state("web", "gave_up")
    this.ok("stop", "clock")
    this.write("web.py", SLEEP)
    this.wait_state("web", "ready")
    assert this.unit("clock")["state"] == "stopped"


def test_a_process_that_writes_what_it_watches_settles(project):
    writes = "import pathlib, time\npathlib.Path('made.py').write_text(f'x = {time.time()}')\ntime.sleep(600)\n"
    this = project(scripts={"web": writes}, toml='[process.web]\nwatch = ["**/*.py"]\n')
    this.up("--watch")
    poll_until(lambda: this.events("notice", "web")[-1:], 30, "a first restart")
    poll_until(lambda: "ignored for 60 s" in str(this.events("notice", "web")), 30, "it is noticed")
    told = next(event["message"] for event in this.events("notice", "web") if "ignored" in event["message"])
    assert '`watch = ["**/*.py", "!made.py"]`' in told
    count = starts(this, "web")
    this.wait_state("web", "ready")
    assert starts(this, "web") == count
    this.write("other.py", "")
    poll_until(lambda: starts(this, "web") == count + 1, 15, "other files still count")


def test_only_who_imports_a_file_is_restarted(project):
    this = project(
        procfile="api: python -m app.api\nworker: python -m app.worker\n",
    )
    for name, code in {"__init__": "", "orders": "", "prices": "", "api": SLEEP, "late": ""}.items():
        this.write(f"app/{name}.py", code)
    this.write("app/api.py", "from app import prices\n" + SLEEP)
    this.write("app/worker.py", "from app.orders import *\n" + SLEEP + "def f():\n    from . import late\n")
    this.write("app/orders.py", "from . import prices\n")
    this.write("scripts/tool.py", "")
    this.up("--watch")
    expected = {"api": 1, "worker": 1}

    def save(file, *concerned):
        this.write(file, "\n" + (this.folder / file).read_text())
        expected.update({name: expected[name] + 1 for name in concerned})
        for name in concerned:
            poll_until(lambda name=name: starts(this, name) == expected[name], 15, f"the restart of {name}")
            this.wait_state(name, "ready")
        assert {name: starts(this, name) for name in expected} == expected, file

    save("app/orders.py", "worker")
    save("scripts/tool.py")
    save("app/late.py", "worker")
    save("app/prices.py", "worker", "api")
    save("app/api.py", "api")
    # What is imported since the last save counts, and a module that is new concerns whoever may find it.
    this.write("app/fresh.py", "")
    poll_until(lambda: starts(this, "worker") == 4, 15, "the restart of worker")
    expected = {name: starts(this, name) for name in expected}
    this.write("app/api.py", "from app import prices, fresh\n" + SLEEP)
    poll_until(lambda: starts(this, "api") == expected["api"] + 1, 15, "the restart of api")
    this.wait_state("api", "ready")
    expected = {name: starts(this, name) for name in expected}
    save("app/fresh.py", "api")


ENVIRONMENT = "import os, time\nprint('sees', os.environ.get('GREETING'), flush=True)\ntime.sleep(600)\n"


def test_changed_settings_are_taken_as_far_as_they_can(project):
    this = project(
        scripts={"web": ENVIRONMENT, "clock": ENVIRONMENT},
        toml='[process.clock]\nenv = { GREETING = "its own" }\n',
    )
    this.write(".gitignore", ".env\n")
    this.write(".env", "GREETING=first\n")
    this.up("--watch")
    this.write(".env", "GREETING=second\nTEMPORAL_NAMESPACE=other\n")
    poll_until(lambda: "sees second" in this.log("web"), 15, "the new environment")
    this.wait_state("web", "ready")
    assert starts(this, "clock") == 1, "its own value did not change"
    said = [event["message"] for event in this.events("notice")]
    assert ".env changed: GREETING" in said
    assert ".env changed: `mika down`, then `mika up` takes TEMPORAL_NAMESPACE" in said

    this.write("mika.toml", '[process.clock]\nenv = { GREETING = "its other own" }\n')
    poll_until(lambda: "sees its other own" in this.log("clock"), 15, "the new environment")
    this.write("Procfile", "web: python web.py --new\nclock: python clock.py\nmore: python clock.py\n")
    poll_until(lambda: starts(this, "web") == 3, 15, "the new command")
    this.write(".env", "GREETING=third\n")
    poll_until(lambda: starts(this, "web") == 4, 15, "the newest environment")
    said = [event["message"] for event in this.events("notice")]
    new = "Procfile changed: `mika down`, then `mika up` takes the list of processes (new: more)"
    assert [text for text in said if "list of processes" in text] == [new], "once, and not with each edit of a file"
    this.write("mika.toml", "[process.clock]\nenv = 5\n")
    told = poll_until(
        lambda: [e["message"] for e in this.events("notice") if "is not used" in e["message"]], 15, "it is told"
    )
    assert told[0].startswith("mika.toml changed, but the change is not used: mika.toml:2: 'env' must be a table")
    assert (starts(this, "web"), starts(this, "clock")) == (4, 2)


def test_a_start_that_fails_for_good_is_told_at_once_and_a_change_repairs_it(project):
    this = project(scripts={"web": "import nowhere\n", "clock": SLEEP})
    result = this.mika("up", "-d", "--watch", timeout=60)
    assert result.code == 1
    assert "web gave up: ModuleNotFoundError: No module named 'nowhere'" in result.err
    assert "the stack stays up, and starts it again when its files change" in result.err
    this.write("web.py", SLEEP)
    this.wait_state("web", "ready")
    assert this.mika("up", "-d", "--watch").code == 0
