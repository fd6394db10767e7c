"""`mika init`, and `mika up` without a Procfile: what is asked, written, said and left alone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib

import pytest

from tests.adopt.conftest import PROJECTS, empty, make_environment
from tests.kit.machine import DEADLINE, POSIX, free_port, poll_until, posix_only
from tests.kit.project import Project


def write_question(this: Project) -> None:
    """A worker whose queue only its caller knows."""
    this.write("worker.py", ASKS)


ASKS = """
import asyncio, sys
from temporalio.client import Client
from temporalio.worker import Worker
from flows import Greet

async def main():
    client = await Client.connect(sys.argv[1])
    await Worker(client, task_queue=sys.argv[2], workflows=[Greet]).run()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_up_asks_nothing_of_a_stack_that_runs_and_finds_what_init_writes(adopted):
    """A second terminal attaches, and the processes are the same with and without the files."""
    this = adopted("plain-web-worker")
    with free_port() as port:
        this.write("web.py", (PROJECTS / "plain-web-worker" / "web.py").read_text().replace("5005", str(port)))
        this.up("--yes")
        found = processes(this)
        assert this.status()["backend"] == "none", "nothing there uses Temporal"
        assert re.search(r"^ready when +http://.*/health$", this.ok("describe", "web").out, re.MULTILINE)
        worker = (this.folder / "worker.py").read_text()
        this.write("worker.py", ASKS)  # now there is a question, and the stack that runs is another one
        this.write("flows.py", "")
        assert "already up" in this.up().text
        this.ok("down")
        assert "which task queue does worker.py poll?" in this.error("up", "--yes", code=2, process=False).err
        this.write("worker.py", worker)
        (this.folder / "flows.py").unlink()
        this.ok("init")
        assert "web: python web.py\n" in (this.folder / "Procfile").read_text()
        assert tomllib.loads((this.folder / "mika.toml").read_text())["process"]["web"]["ready"].endswith("/health")
        this.up()
        assert processes(this) == found
        this.ok("down")


def processes(this: Project) -> list[tuple[str, str, str]]:
    return [(unit["name"], unit["state"], unit["address"]) for unit in this.status()["processes"]]


SERVES = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_the_port_of_what_was_found_is_another_one_by_the_setting_that_mika_names(project):
    """Without the files of init, and with them."""
    this = project("", backend="none", scripts={"main": "from fastapi import FastAPI\napp = FastAPI()\n"})
    (this.folder / "Procfile").unlink()
    this.write("uvicorn/__init__.py", "")
    this.write("uvicorn/__main__.py", SERVES)
    with socket.create_server(("127.0.0.1", 0)) as taken, free_port() as port:
        this.env["API_PORT"] = str(taken.getsockname()[1])
        assert "in the environment: API_PORT=" in this.error("up", "--yes", code=2, process=False).err
        this.ok("init", "--yes")
        assert "--port $API_PORT\n" in (this.folder / "Procfile").read_text()
        assert "in the environment: API_PORT=" in this.error("up", code=2, process=False).err
        this.env["API_PORT"] = str(port)
        this.up()
        assert [(name, state) for name, state, _ in processes(this)] == [("web", "ready")]
        this.ok("down")
        literal = (this.folder / "mika.toml").read_text().replace("$API_PORT", str(taken.getsockname()[1]))
        this.write("mika.toml", literal)
        refused = this.error("up", code=2, process=False)
        assert "give web another port" in refused.err
        assert "API_PORT" not in refused.err.partition("mika: ")[2]


def test_nothing_is_overwritten(adopted):
    this = adopted("plain-web-worker")
    mine = "web: python mine.py\n"
    this.write("Procfile", mine)
    refused = this.error("init", "--yes", code=2)
    assert "already has Procfile; nothing was written" in refused.err
    assert "--force" in refused.err
    assert (this.folder / "Procfile").read_text() == mine
    assert not (this.folder / "mika.toml").exists()
    assert "worker: python worker.py" in this.ok("init", "--dry-run").out
    assert (this.folder / "Procfile").read_text() == mine
    this.ok("init", "--force")
    assert "worker: python worker.py" in (this.folder / "Procfile").read_text()


def test_questions_without_a_terminal_end_with_the_lines_to_write(adopted):
    this = adopted("wrapped-asgi")
    write_question(this)
    for command in (("up",), ("up", "--yes", "-d"), ("init",), ("init", "--yes"), ("init", "--dry-run")):
        refused = this.error(*command, code=2, process=False)
        assert "which task queue does worker.py poll?" in refused.err
        assert 'ready = "worker:QUEUE"' in refused.err
        assert not (this.folder / "Procfile").exists()
        assert not (this.folder / ".mika").exists()


def test_a_setting_of_no_process(adopted):
    this = adopted("plain-web-worker")
    this.write("mika.toml", "[process.wbe]\ngrace = 1\n")
    assert "did you mean 'web'?" in this.error("up", "--yes", code=2, process=False).err


@pytest.mark.parametrize("command", [("up",), ("up", "--yes", "-d"), ("init",), ("init", "--dry-run")])
def test_a_folder_that_is_no_project(project, command):
    this = project("", backend="auto")
    empty(this.folder)
    this.write("notes.ipynb", "{}")
    this.write("data.csv", "a;b\n")
    refused = this.error(*command, code=2, process=False)
    assert "Procfile: not found in " in refused.err
    assert "nor a web app or a worker of Temporal that mika can run" in refused.err
    assert sorted(path.name for path in this.folder.iterdir()) == ["data.csv", "notes.ipynb"], "nothing is written"


# --- a terminal -------------------------------------------------------------------------------------------------------


@posix_only
def test_a_terminal_is_asked_and_init_writes_the_answer(adopted):
    this = adopted("wrapped-asgi")
    write_question(this)
    text, code = typed(this, ["init"], ["which task queue", "Write this"], ["letters\n", "y\n"])
    assert code == 0, text
    written = tomllib.loads((this.folder / "mika.toml").read_text())
    assert written["process"]["worker"]["ready"] == "worker:letters"


@posix_only
def test_up_asks_before_it_starts(adopted):
    this = adopted("wrapped-asgi")
    write_question(this)
    text, code = typed(this, ["up"], ["which task queue", "Start this?"], ["letters\n", "n\n"])
    assert code == 130, text
    assert "nothing was done" in text
    assert not (this.folder / ".mika").exists()


@posix_only
def test_an_answer_reaches_the_background_and_what_the_user_has_set_wins(adopted):
    this = adopted("plain-web-worker")
    this.write("mika.toml", '[process.old]\nready = "log:Uvicorn running on"\ngrace = 1\n')
    shutil.copy(this.folder / "worker.py", this.folder / "work.py")
    shutil.copy(this.folder / "web.py", this.folder / "old.py")
    with free_port() as port:
        for name in ("web.py", "old.py"):
            this.write(name, (PROJECTS / "plain-web-worker" / "web.py").read_text().replace("5005", str(port)))
        text, code = typed(this, ["up", "-d"], ["which web is to run", "Start this?"], ["old\n", "y\n"])
        assert code == 0, text
        assert [name for name, *_ in processes(this)] == ["old", "worker"]
        assert this.unit("old")["address"] == "log:Uvicorn running on"
        this.ok("down")


def typed(this: Project, args: list[str], prompts: list[str], answers: list[str]) -> tuple[str, int]:
    """Run a command on a terminal of its own; each answer is typed when its prompt is there."""
    import pty

    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    command = [sys.executable, "-m", "mika", "-C", str(this.folder), *args]
    with subprocess.Popen(
        command, env=this.environ(TERM="dumb", NO_COLOR="1"), stdin=terminal, stdout=terminal, stderr=terminal
    ) as popen:
        os.close(terminal)
        seen = b""

        def look(text: bytes) -> bool:
            nonlocal seen
            with contextlib.suppress(OSError):
                seen += os.read(screen, 65536)
            return text in seen or popen.poll() is not None

        try:
            for prompt, answer in zip(prompts, answers, strict=True):
                poll_until(lambda prompt=prompt: look(prompt.encode()), DEADLINE, prompt)
                os.write(screen, answer.encode())
            poll_until(lambda: look(b"\0"), DEADLINE, f"the end of {args}")
        finally:
            popen.kill()
            look(b"")
            os.close(screen)
        return seen.decode("utf-8", "replace"), popen.wait(10)


@pytest.mark.parametrize(
    ("name", "environment", "install"),
    [
        ("mailer-poetry", "poetry", "poetry install"),
        (
            "notes-lifespan",
            "venv",
            f"{'venv/bin' if POSIX else 'venv/Scripts'}/python -m pip install -r requirements.txt",
        ),
    ],
)
def test_what_is_not_installed_is_said_before_the_start(adopted, name, environment, install):
    this = adopted(name, environment)
    for path in this.parent.rglob("tests.pth"):
        path.unlink()  # as if nothing had been installed
    this.backend = "none"  # it would take longest
    up = this.mika("up", "-d", "--yes")
    assert up.code == 1
    note = next(line for line in up.out.splitlines() if "is not installed in" in line)
    assert f"run `{install}`" in note.replace("\\", "/"), note


@pytest.mark.parametrize(
    ("environment", "what"),
    [("", "make an environment for them (`python -m venv .venv`)"), (".venv", "install it there")],
)
def test_a_project_that_says_nothing_of_its_packages(project, environment, what):
    this = project("worker: python -m no_such_package")
    this.env.pop("VIRTUAL_ENV", None)
    if environment:
        make_environment(this.folder / environment)
        next((this.folder / environment).rglob("tests.pth")).unlink()
    up = this.mika("up", "-d")
    note = next(line for line in up.text.splitlines() if "is not installed in" in line)
    assert "nothing here says which packages the project needs" in note
    assert what in note
