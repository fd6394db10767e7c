"""The documentation names only what exists, and each Chinese page has what the English one has."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from mika.config.process_options import CONDITIONS, ProcessOptions, Ready
from mika.supervisor.reload import DEFAULT_PATTERNS

from tests.kit.config import load

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "launcher" / "mika"
FOLDERS = (".ci", ".github", "benchmarks", "compose", "docs", "launcher", "src", "tests")
"""What belongs to the repository; beside it there may be an environment, caches and `.mika`."""
CONFIGURATION = ROOT / "docs" / "configuration.md"
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])

CHINESE = [page for page in PAGES if page.name.endswith(".zh-CN.md")]

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_SHAPE = re.compile(r"#+ |\||- ")
_COLUMN = re.compile(r"(?<!\\)\|")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r'(?:src|srcset)="([^"]+)"')
_INLINE_CODE = re.compile(r"`([^`\n]+)`")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_PATH = re.compile(r"(?<![\w./*-])(?:\./)?[\w.-]+(?:/[\w.-]+)+/?(?![\w*/])")
_FILE_NAME = re.compile(r"(?<![\w./*-])\w[\w.-]*\.(?:py|md|sh)\b")
_MODULE = re.compile(r"-m ((?:benchmarks|launcher|mika|src|tests)[\w.]*)")

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_blocks(page: Path) -> list[str]:
    return _FENCE.findall(page.read_text(encoding="utf-8"))


def rows(page: Path, heading: str) -> list[list[str]]:
    """The first table below a heading: the cells of each row, without the row of titles."""
    _, found, section = prose(page).partition(f" {heading}\n")
    assert found, f"{heading}: no such heading"
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None, f"{heading}: no table"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[0].splitlines()[2:]]


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    titles = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for _, title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def paths_in(code: str) -> Iterator[str]:
    """What looks like a path into the repository: it begins with one of its folders, or with a room of mika."""
    rooms = {entry.name for entry in PACKAGE.iterdir() if entry.is_dir()}
    for path in _PATH.findall(code):
        first = path.removeprefix("./").partition("/")[0]
        if first in FOLDERS or first in rooms:
            yield path.removeprefix("./")


def test_a_timeout_is_written_as_in_code():
    assert [page.name for page in PAGES if "time-out" in page.read_text(encoding="utf-8").lower()] == []


@each_page
def test_every_relative_link_resolves(page):
    for target in [*_LINK.findall(prose(page)), *_IMAGE.findall(prose(page))]:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target}: no such file"
        assert not fragment or fragment in anchors(linked), f"{target}: no such heading"


@each_page
def test_every_path_in_code_exists(page):
    code = [*_INLINE_CODE.findall(prose(page)), *code_blocks(page)]
    missing = {
        path
        for text in code
        for path in paths_in(text)
        if not any((folder / path).exists() for folder in (ROOT, PACKAGE, page.parent))
    }
    assert not missing


@each_page
def test_every_file_name_in_prose_is_the_name_of_a_file(page):
    tracked = {name for folder in FOLDERS for _, _, names in os.walk(ROOT / folder) for name in names}
    tracked |= {entry.name for entry in ROOT.iterdir()}
    code = _INLINE_CODE.findall(prose(page))
    assert {name for text in code for name in _FILE_NAME.findall(text)} <= tracked


@each_page
def test_every_module_that_is_run_exists(page):
    for module in _MODULE.findall(page.read_text(encoding="utf-8")):
        path = Path(*module.split("."))
        candidates = [folder / path for folder in (ROOT, ROOT / "launcher")]
        assert any((one / "__main__.py").exists() or one.with_suffix(".py").exists() for one in candidates), module


@pytest.mark.parametrize("chinese", CHINESE, ids=[str(page.relative_to(ROOT)) for page in CHINESE])
def test_a_chinese_page_has_the_shape_of_the_english_one(chinese):
    english = english_of(chinese)
    assert shape(chinese) == shape(english)
    assert [commands(block) for block in code_blocks(chinese)] == [commands(block) for block in code_blocks(english)]


@pytest.mark.parametrize("chinese", CHINESE, ids=[str(page.relative_to(ROOT)) for page in CHINESE])
def test_each_section_of_a_chinese_page_has_the_same_code_and_as_many_links(chinese):
    ours, theirs = sections(chinese), sections(english_of(chinese))
    assert [code_in(part) for part in ours] == [code_in(part) for part in theirs]
    assert [len(_LINK.findall(part)) for part in ours] == [len(_LINK.findall(part)) for part in theirs]


@pytest.mark.parametrize("chinese", CHINESE, ids=[str(page.relative_to(ROOT)) for page in CHINESE])
def test_a_page_in_two_languages_links_to_the_other_one(chinese):
    english = english_of(chinese)
    assert f"]({english.name})" in prose(chinese)
    assert f"]({chinese.name})" in prose(english)


def test_a_chinese_page_links_to_chinese_pages_where_there_are_some():
    translated = {english_of(page) for page in CHINESE}
    english = {
        f"{page.name}: {target}"
        for page in CHINESE
        for target in _LINK.findall(prose(page))
        if (page.parent / target.partition("#")[0]).resolve() in translated - {english_of(page)}
    }
    assert not english


@pytest.mark.parametrize(
    "words",
    [
        "is taken by",
        "Docker is running, but its images are not here",
        "refuses the password",
        "gave up: ",
        "waiting for ",
        "its standard input is closed",
        ": cannot be written",
        "this stack was started by another version of mika",
    ],
)
def test_a_symptom_in_the_readme_is_what_mika_says(words):
    for readme in ("README.md", "README.zh-CN.md"):
        assert words in (ROOT / readme).read_text(encoding="utf-8"), readme
    assert any(words in module.read_text(encoding="utf-8") for module in PACKAGE.rglob("*.py"))


def test_every_option_of_a_process_is_documented_with_its_default():
    defaults = vars(ProcessOptions()) | {"env": {}, "watch": list(DEFAULT_PATTERNS)}
    documented = {key.strip("`"): default for key, default, *_ in rows(CONFIGURATION, "One process: `[process.NAME]`")}
    assert set(documented) == set(defaults)
    for key, default in documented.items():
        if default.startswith("`"):
            value = default.strip("`")
            assert tomllib.loads(f"{key} = {value}")[key] == defaults[key], key
        else:
            assert defaults[key] is None, key


def test_every_form_of_ready_and_every_condition_is_documented():
    forms = {re.split(r"\W+", form)[1] for form, *_ in rows(CONFIGURATION, "When a process is ready: `ready`")}
    assert forms == set(get_args(get_type_hints(Ready)["kind"]))
    conditions = [condition.strip("`") for condition, _ in rows(CONFIGURATION, "What a process waits for: `needs`")]
    assert sorted(conditions) == sorted(CONDITIONS)


@pytest.mark.parametrize("block", [block for page in PAGES for block in code_blocks(page) if "```toml" in block])
def test_every_example_of_settings_is_accepted(tmp_path, block):
    for folder in ("frontend", "langbot-data"):  # each the `cwd` in an example
        (tmp_path / folder).mkdir()
    (tmp_path / "mika.toml").write_text("\n".join(block.splitlines()[1:-1]), encoding="utf-8")
    load(tmp_path)


def english_of(chinese: Path) -> Path:
    return chinese.with_name(chinese.name.replace(".zh-CN.", "."))


def shape(page: Path) -> list[str]:
    """Its headings by their level, its tables row by row with their columns, and its points."""
    found = [_SHAPE.match(line) for line in prose(page).splitlines()]
    return [
        f"{len(_COLUMN.findall(line.string))} columns" if line[0] == "|" else line[0]
        for line in found
        if line is not None
    ]


def sections(page: Path) -> list[str]:
    return _HEADING.sub("\f", prose(page)).split("\f")


def code_in(text: str) -> set[str]:
    return {" ".join(code.split()) for _, code in _CODE.findall(text)}


def commands(block: str) -> list[str]:
    """The lines of a code block without their comments, which are translated, and so are the words in a drawing."""
    if "──▶" in block:
        return block.splitlines()[:1]
    return [line.partition("# ")[0].rstrip() for line in block.splitlines()]
