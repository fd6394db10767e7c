"""`mika up --watch`: a change of its files restarts a process, once, gracefully."""

from __future__ import annotations

from tests.kit.machine import poll_until
from tests.kit.programs import SLEEP, SLOW_STOP

WATCH = {"web": SLEEP, "clock": SLEEP}


def starts(this, name):
    return len(this.events("started", name))


def test_a_burst_of_saves_is_one_restart_of_those_concerned(project):
    this = project(
        scripts={"web": SLOW_STOP.format(seconds=0.3), "clock": SLEEP},
        toml='[process.web]\nwatch = ["lib/**/*.py", "*.html"]\n[process.clock]\nwatch = ["clock.py"]\n',
    )
    this.write("lib/a.py", "")
    this.up("--watch")
    for number in range(20):
        this.write(f"lib/part{number}.py", "x = 1\n")
    this.write("page.html", "hello")
    poll_until(lambda: starts(this, "web") == 2, 15, "the restart of web")
    this.wait_state("web", "ready")
    assert "stopped" in this.log("web"), "it was given time to stop"
    assert starts(this, "clock") == 1
    assert this.unit("web")["restarts"] == 0, "a change is no failure"
    # One more change, so that a second restart for the burst would have been seen by now.
    this.write("clock.py", SLEEP + "# changed\n")
    poll_until(lambda: starts(this, "clock") == 2, 15, "the restart of clock")
    assert starts(this, "web") == 2


def test_what_git_ignores_changes_nothing(project):
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


def test_a_change_revives_what_gave_up_and_not_what_was_stopped(project):
    this = project(scripts={"web": "import nothing_of_that_name\n", "clock": SLEEP})
    running = this.start_mika("up", "--watch")
    this.wait_state("web", "gave_up")
    this.ok("stop", "clock")
    this.write("web.py", SLEEP)
    this.wait_state("web", "ready")
    assert this.unit("clock")["state"] == "stopped"
    assert running.popen.poll() is None


def test_a_process_that_writes_what_it_watches_settles(project):
    writes = "import pathlib, time\npathlib.Path('made.py').write_text(f'x = {time.time()}')\ntime.sleep(600)\n"
    this = project(scripts={"web": writes})
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


def test_an_edit_in_one_folder_concerns_the_process_of_that_folder(project):
    this = project(
        procfile="a: python ../sleep.py\nb: python ../sleep.py\n",
        toml='[process.a]\ncwd = "a"\n[process.b]\ncwd = "b"\n',
    )
    this.write("sleep.py", SLEEP)
    for folder in ("a", "b"):
        this.write(f"{folder}/code.py", "")
    this.up("--watch")
    this.write("a/code.py", "x = 1\n")
    poll_until(lambda: starts(this, "a") == 2, 15, "the restart of a")
    this.write("b/code.py", "x = 1\n")
    poll_until(lambda: starts(this, "b") == 2, 15, "the restart of b")
    assert starts(this, "a") == 2
