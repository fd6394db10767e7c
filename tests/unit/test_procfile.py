from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mika.errors import UsageError
from mika.procfile import entries as procfile
from mika.procfile.entries import Entry

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / "Procfile"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "data",
    [
        b"api: run api\nworker: run worker\n",
        b"\xef\xbb\xbfapi: run api\r\nworker: run worker\r\n",
        b"\t api:\trun api \t\n  worker:run worker",
        b"api: run api\rworker: run worker",
        b"# c: comment\n\napi: run api\n \t\n#x\nworker: run worker\n",
    ],
    ids=["plain", "bom-crlf", "tabs", "cr", "comments"],
)
def test_reads_what_honcho_reads(tmp_path: Path, data: bytes) -> None:
    entries = procfile.read(write(tmp_path, data))
    assert [(entry.name, entry.command, entry.index) for entry in entries] == [
        ("api", "run api", 0),
        ("worker", "run worker", 1),
    ]


def test_lines_count_from_one_with_comments(tmp_path: Path) -> None:
    assert [entry.line for entry in procfile.read(write(tmp_path, "# x\n\na: 1\r\n\r\nb: 2"))] == [3, 5]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: x\nmy.web: y", "Procfile:2: the name 'my.web' is not allowed"),
        ("web : x", "Procfile:1: has a space between the name 'web' and the colon"),
        ("python -m http.server:80", "Procfile:1: 'python -m http.server:80' is not an entry; write 'name: command'"),
        ("just words", "Procfile:1: 'just words' is not an entry"),
        ("web\uff1apython app.py", "Procfile:1: contains the full-width colon"),
        (": x", "Procfile:1: has no name"),
        ("-d: x", "Procfile:1: the name '-d' is not allowed"),
        ("机器人: x", "Procfile:1: the name '机器人' is not allowed"),
        ("nul: x", "Procfile:1: the name 'nul' is a device on Windows"),
        ("a: x\n\na: y", "Procfile:3: 'a' is already on line 1"),
        ("web: x\nWeb: y", "Procfile:2: 'Web' is already on line 1"),
        ("a:", "Procfile:1: 'a' has no command"),
        ("a: \t", "Procfile:1: 'a' has no command"),
        ("a: x \\\n  --more", "Procfile:1: ends with a backslash"),
        ("a: x\0y", "Procfile:1: contains the invisible character U+0000"),
        ("a: x\u2028y", "Procfile:1: contains the invisible character U+2028"),
        (b"a: x\nb: caf\xe9", "Procfile:2: byte 0xe9 is not valid UTF-8"),
        ("", "Procfile: has no entries"),
        ("# nothing\n\n", "Procfile: has no entries"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, data: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        procfile.read(write(tmp_path, data))
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_the_example_fits_what_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "go.mod").touch()
    (tmp_path / "Procfile").write_text("# nothing yet\n")
    with pytest.raises(UsageError) as caught:
        procfile.read(tmp_path / "Procfile")
    assert caught.value.hint == "For example:\napi: go run ./api\nworker: go run ./worker"


def test_missing_file_shows_an_example(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        procfile.read(tmp_path / "Procfile")
    assert str(tmp_path) in caught.value.message
    assert "worker: python" in caught.value.hint


def test_a_folder_called_procfile(tmp_path: Path) -> None:
    (tmp_path / "Procfile").mkdir()
    with pytest.raises(UsageError, match="Procfile: cannot be read"):
        procfile.read(tmp_path / "Procfile")


ENTRIES = [Entry("api", "run api", 1, 0), Entry("worker", "run worker", 2, 1), Entry("clock", "run clock", 4, 2)]


@pytest.mark.parametrize(
    ("args", "names", "counts"),
    [
        ([], ["api", "worker", "clock"], {}),
        (["worker", "api"], ["api", "worker"], {}),
        (["worker=2"], ["worker"], {"worker": 2}),
        (["api=0", "worker"], ["api", "worker"], {"api": 0}),
    ],
)
def test_select(args: list[str], names: list[str], counts: dict[str, int]) -> None:
    chosen, given = procfile.select(ENTRIES, args)
    assert ([entry.name for entry in chosen], given) == (names, counts)


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("wroker", "no process is named 'wroker'; did you mean 'worker'? (there are: api, worker, clock)"),
        ("xyz", "no process is named 'xyz' (there are: api, worker, clock)"),
        ("worker=two", "worker=two: 'two' is not a count"),
        ("worker=-1", "worker=-1: '-1' is not a count"),
        ("worker=65", "worker=65: '65' is not a count"),
        ("worker=", "worker=: '' is not a count"),
    ],
)
def test_select_refuses(arg: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        procfile.select(ENTRIES, [arg])
    assert caught.value.message.startswith(message)


def test_expand_names_and_ports() -> None:
    found = procfile.expand(ENTRIES, {"worker": 2, "clock": 0})
    assert [(one.name, one.type, one.index, one.port, one.command) for one in found] == [
        ("api", "api", 1, 5000, "run api"),
        ("worker.1", "worker", 1, 5100, "run worker"),
        ("worker.2", "worker", 2, 5101, "run worker"),
    ]


def test_a_selection_keeps_its_port() -> None:
    chosen, counts = procfile.select(ENTRIES, ["clock"])
    assert [(one.name, one.port, one.line) for one in procfile.expand(chosen, counts)] == [("clock", 5200, 4)]


def test_port_of_the_environment_is_the_base() -> None:
    assert [one.port for one in procfile.expand(ENTRIES, {}, {"PORT": "9000"})] == [9000, 9100, 9200]
    assert procfile.expand(ENTRIES, {}, {"PORT": ""})[0].port == 5000


@pytest.mark.parametrize("port", ["x", "0", "70000", "65500", "9" * 5000])
def test_bad_port_of_the_environment(port: str) -> None:
    with pytest.raises(UsageError, match="environment: PORT"):
        procfile.expand(ENTRIES, {}, {"PORT": port})
