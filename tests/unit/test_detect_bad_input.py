"""Projects that are not as they should be: one line at most, never a traceback, and in time."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest
from mika.detect import files as files_module
from mika.detect.documented import documented
from mika.detect.files import Files

from tests.kit.machine import cpu_limit, posix_only
from tests.kit.sources import API, make, only, proposed, worker

# --- bad input --------------------------------------------------------------------------------------------------------


def test_what_is_no_python_is_said(tmp_path):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), "broken.py": "from temporalio import\n"})
    assert only(found).name == "worker"
    assert any(note.startswith("broken.py:1: not valid in Python 3.") for note in found.notes)


@pytest.mark.parametrize(
    ("path", "source", "note"),
    [
        ("a/pyproject.toml", "[project\nname = 1", "a/pyproject.toml:1:9: not valid TOML"),
        ("a/package.json", '{"a": 1,\n}', "a/package.json:2:1: not valid JSON"),
        ("a/package.json", "[" * 100_000, "a/package.json: is nested too deeply"),
        ("compose.yml", "a: [\n b: c", "compose.yml:3: not valid YAML"),
    ],
)
def test_a_manifest_that_is_not_valid_is_said(tmp_path, path, source, note):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), path: source})
    assert only(found).name == "worker"
    assert found.notes[0].startswith(note)
    assert all(guess.why == "compose.yml is not understood" for guess in found.settings.values())


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbf" + worker('"q"').encode(),
        b"# -*- coding: latin-1 -*-\n# \xe9\n" + worker('"q"').encode(),
        worker('"q"').replace("\n", "\r\n").encode(),
    ],
)
def test_other_encodings(tmp_path, source):
    assert only(proposed(tmp_path, {"worker.py": source})).queues == ("q",)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\0temporalio",
        b"\xff\xfetemporalio",
        b"import temporalio\n" + b"(" * 100_000,
        b"import temporalio\nx = " + b"-" * 50_000 + b"1\n",
        b"import temporalio\nx = " + b"a." * 40_000 + b"b\n",
        "\n".join(["from temporalio.worker import Worker", *(f"a{n} = a{n + 1} or a{n + 1} " * 1 for n in range(30))]),
        "import temporalio\nfrom . import a\nfrom .... import b\nfrom a import *\nfrom __main__ import x\n",
    ],
    ids=range(8),
)
def test_odd_sources(tmp_path, source):
    proposed(tmp_path, {"a.py": source, "b/a.py": source, "README.md": source, "compose.yml": b"a: \xff"})


def test_values_in_a_circle_and_in_great_number(tmp_path):
    wide = "\n".join(f"Q{n} = " + " or ".join([f"Q{n + 1}"] * 200) for n in range(20))
    with cpu_limit(10):
        assert proposed(tmp_path, {"worker.py": worker("Q0", wide)}).questions


@posix_only
def test_links_are_not_followed(tmp_path):
    make(tmp_path, {"a/worker.py": worker('"q"')})
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self.py").symlink_to("self.py")
    os.mkfifo(tmp_path / "a" / "pipe.py")
    assert len(proposed(tmp_path, {}).processes) == 1


@posix_only
def test_odd_names_of_files(tmp_path):
    """A command is pasted as it stands, and what cannot be in a line is left out."""
    make(tmp_path, {"my worker.py": worker('"q"'), "it's/w.py": worker('"r"'), "a\nb/w.py": worker('"s"')})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text(worker('"t"'))
    commands = {process.command for process in proposed(tmp_path, {}).processes}
    assert {tuple(shlex.split(command)) for command in commands} == {
        ("python", "my worker.py"),
        ("python", "it's/w.py"),
    }


def test_names_that_no_variable_can_have(tmp_path):
    source = (
        worker('os.getenv("A B", "q")')
        + API
        + 'if __name__ == "__main__":\n    uvicorn.run(app, port=os.getenv("P={}"))\n'
    )
    found = proposed(tmp_path, {"worker.py": source})
    assert all(not process.env for process in found.processes)


def test_what_there_is_no_time_for_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "SECONDS", -1)
    assert "not all files here could be looked at" in proposed(tmp_path, {"worker.py": worker('"q"')}).notes[-1]


def test_a_machine_that_makes_mika_wait_does_not_hide_what_there_is(tmp_path, monkeypatch):
    """Such as one with many more programs than cores: only the work counts, up to a limit."""
    own, waited = time.monotonic, iter((0, 0, files_module.SECONDS))
    monkeypatch.setattr(files_module, "time", Clock(lambda: own() + next(waited, files_module.SECONDS)))
    found = proposed(tmp_path, {"worker.py": worker('"q"')})
    assert (only(found).name, found.notes) == ("worker", ())


class Clock:
    thread_time = staticmethod(time.thread_time)

    def __init__(self, monotonic):
        self.monotonic = monotonic


def test_large_files_and_notebooks_are_left_out(tmp_path):
    large = worker('"q"') + "#" * files_module.LARGEST
    assert not proposed(tmp_path, {"worker.py": large, "w.ipynb": worker('"q"')}).processes


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("README.md", 'Start it by "python main.py", then wait.', [("main.py",)]),
        ("README.md", "python main.py --name 'a b'", [("main.py", "--name", "a b")]),
        ("README.md", "python main.py --it's", [("main.py", "--it")]),
        ("README.md", "python main.py 'a\"b", [("main.py",)]),
        ("README.md", "python main.py a\\", [("main.py", "a")]),
        (
            "package.json",
            r'{"scripts": {"a": "python x.py \"a b\"", "b": "node y.js"}}',
            [("x.py", "a b"), ("node", "y.js")],
        ),
        ("Dockerfile", 'CMD ["python", "main.py"]', [("main.py",)]),
    ],
)
def test_the_quotes_around_a_documented_command_are_not_its_own(tmp_path, path, text, words):
    assert [one.words for one in documented(Files(make(tmp_path, {path: text})))] == words
