"""Lines of logs as a person reads them, from every logger that the projects of our users have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mika.cli.screen.escapes import for_screen
from mika.cli.screen.fields import short_id
from mika.cli.screen.pretty import Pretty
from mika.project.logs import Line
from mika.records.reading import read
from mika.records.record import Level, local_clock, time_of

from tests.kit.machine import cpu_limit

ROOT = Path("/home/me/bot")
NOON = "2026-11-28T12:00:00.123456Z"
SECONDS = 1795867200.0 + 0.123456


@pytest.mark.parametrize(
    ("line", "level", "message", "fields"),
    [
        (
            '{"workflow_id": "a", "attempt": 1, "event": "llm_answered", "level": "info", "timestamp": "%s"}',
            Level.INFO,
            "llm_answered",
            {"workflow_id": "a", "attempt": "1"},
        ),
        (
            '{"level":"warn","ts":1795867200.123456,"caller":"a.go:1","msg":"slow"}',
            Level.WARNING,
            "slow",
            {"caller": "a.go:1"},
        ),
        ('{"level":50,"time":1795867200123,"pid":7,"hostname":"me","msg":"no"}', Level.ERROR, "no", {}),
        (
            '{"time":"2026-11-28T12:00:00.123456789Z","level":"INFO","msg":"up","port":80}',
            Level.INFO,
            "up",
            {"port": "80"},
        ),
        ('{"severity": "CRITICAL", "message": "gone", "time": "%s"}', Level.FATAL, "gone", {}),
        (
            'time=%s level=ERROR msg="hello \\"you\\"" key=a.b rest=""',
            Level.ERROR,
            'hello "you"',
            {"key": "a.b", "rest": ""},
        ),
        (
            "%s  WARN temporalio_sdk_core::worker: text a=1",
            Level.WARNING,
            "text a=1",
            {"logger": "temporalio_sdk_core::worker"},
        ),
        ("INFO:     Started server process [7]", Level.INFO, "Started server process [7]", {}),
        ('INFO:     127.0.0.1:5 - "GET /a?b=c HTTP/1.1" 200 OK', Level.INFO, "GET /a?b=c 200", {}),
        ("WARNING:my.module:careful", Level.WARNING, "careful", {"logger": "my.module"}),
        ("2026-11-28 12:00:00,123 - my.module - ERROR - broken", Level.ERROR, "broken", {"logger": "my.module"}),
        ("[2026-11-28 12:00:00 +0000] [7] [INFO] Booting worker", Level.INFO, "Booting worker", {}),
        ("[2026-11-28 12:00:00,123: WARNING/MainProcess] text", Level.WARNING, "text", {}),
        ("2026/11/28 12:00:00 INFO started port=80", Level.INFO, "started port=80", {}),
        ("2026/11/28 12:00:00 started", None, "started", {}),
        ("%s\tDEBUG\tmain.go:1\ttext", Level.DEBUG, "main.go:1\ttext", {}),
        ("\x1b[2m%s\x1b[0m \x1b[32m INFO\x1b[0m a::b\x1b[2m:\x1b[0m text", Level.INFO, "text", {"logger": "a::b"}),
    ],
)
def test_a_line_of_a_logger(line, level, message, fields):
    record = read(line.replace("%s", NOON))
    assert record is not None
    assert (record.level, record.message, dict(zip(record.names, record.values, strict=True))) == (
        level,
        message,
        fields,
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "{",
        "{}",
        '{"a": 1}',
        '{"msg": 5}',
        "[1, 2]",
        "a=1 b=2",
        "x = 1",
        "level=info",
        "Traceback (most recent call last):",
        '  File "/a.py", line 1, in f',
        "ERROR in the text but not a level",
        "{" * 10_000 + "}",
        '{"msg": "' + "x" * 70_000 + '"}',
    ],
)
def test_text_stays_text(line):
    assert read(line) is None


@pytest.mark.parametrize(
    "value",
    [
        SECONDS,
        SECONDS * 1e3,
        SECONDS * 1e6,
        SECONDS * 1e9,
        NOON,
        "2026-11-28T12:00:00.123456789+00:00",
        "2026-11-28 13:00:00,123456+01:00",
    ],
)
def test_a_time_however_it_is_written(value):
    assert time_of(value) == pytest.approx(SECONDS, abs=1e-3)


@pytest.mark.parametrize(
    "value", [True, None, "noon", "", -1, 0, 1e300, float("nan"), float("inf"), "9" * 5000, [], "0001-01-01"]
)
def test_what_is_no_time(value):
    assert time_of(value) is None


def shown(text: str | bytes, *, color: bool = False) -> str:
    data = text.encode() if isinstance(text, str) else text
    return Pretty(["api", "worker"], ROOT, color=color).line("worker", Line(SECONDS, data, is_complete=True))


def test_a_record_is_one_short_line():
    line = {
        "attempt": 1,
        "elapsed_ms": 0,
        "workflow_id": f"process_message_{'8bc6a514' * 4}",
        "event": "llm_answered",
        "level": "info",
        "timestamp": NOON,
    }
    clock = local_clock(SECONDS)
    assert shown(json.dumps(line)) == f"{clock} worker  INFO  llm_answered  8bc6a514  attempt=1  0 ms\n"
    assert shown("hello") == f"{clock} worker  hello\n"  # the time of the log's index


def test_an_exception_has_lines_of_its_own_and_the_own_frame_is_marked():
    trace = (
        "Traceback (most recent call last):\n"
        f'  File "{ROOT}/src/a.py", line 1, in f\n    g()\n'
        f'  File "{ROOT}/.venv/lib/site-packages/b.py", line 2, in g\n    raise ValueError\n'
        "ValueError"
    )
    rows = shown(json.dumps({"event": "failed", "level": "error", "exception": trace})).splitlines()
    assert rows[0].endswith("worker  ERROR failed")
    assert rows[1] == f"{' ' * 8} worker    Traceback (most recent call last):"
    assert [row for row in rows if row[17:].startswith("> ")] == [
        f'{" " * 8} worker  >   File "{ROOT}/src/a.py", line 1, in f'
    ]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("\x1b[2Jclear", "clear"),
        ("\x1b[?1049halternate", "alternate"),
        ("\x1bcreset", "reset"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link", "link"),
        ("\x1bP1;2q...\x1b\\x", "x"),
        ("\x1b[5;1Hmoved\x1b[A", "moved"),
        ("bell\x07 back\x08 \x9b2J", "bell back 2J"),
        ("10%\r50%\r100%", "100%"),
        ("windows\r", "windows"),
        ("cut \x1b[3", "cut "),
        ("cut \x1b", "cut "),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[8mhidden \x1b[1;08mtoo", "hidden too"),
        ("\x1b[38;5;8mgrey", "\x1b[38;5;8mgrey\x1b[0m"),
        ("\x1b[48;2;8;8;8;1mdark", "\x1b[48;2;8;8;8;1mdark\x1b[0m"),
        ("\x1b[" + "38;5;" * 50 + "8;8mlong", "long"),
        ("safe\u202eexe.\u2066txt", "safeexe.txt"),
    ],
)
def test_what_a_terminal_may_be_shown(text, safe):
    assert for_screen(text) == safe


@given(st.text(), st.booleans())
def test_any_text_is_shown_and_cannot_leave_its_line(text, color):
    out = shown(text.replace("\n", " "), color=color)
    assert out.endswith("\n")
    for control in "\x07\x08\r\x7f\x9b":
        assert control not in out
    assert "\x1b" not in out.replace("\x1b[", "") if color else "\x1b" not in out


WORDS = st.text(max_size=6) | st.sampled_from(
    [
        "hello",
        "你好",
        "a" * 200,
        "a" * 201,
        "a b",
        "%s {} {0}",
        "8bc6a514" * 4,
        "info",
        "WARN",
        "null",
        "",
        "\t",
        '"',
        "\\",
    ]
)
TIMES = st.sampled_from([int(SECONDS), SECONDS, int(SECONDS * 1e3), int(SECONDS * 1e9), 0, 1]) | st.from_regex(
    r"(2026-11-28|2026/11/28|1970-01-01|2026-02-30)[T ](12:00|00:00|24:00):00([.,][0-9]{0,10})?(Z|[+-]0[08]:?00| Z|)",
    fullmatch=True,
)
VALUES = (
    *(
        '""',
        '"x"',
        f'"{"x" * 200}"',
        f'"{"x" * 201}"',
        '"你好"',
        '"é"',
        '"\u200b"',
        '"\t"',
        r'"\t"',
        r'"\""',
        '" error "',
        '"30"',
    ),
    *(f'"process_message_{"8bc6a514" * 4}"', '"{0} %s"', '"a", "event": "again"', '"a"}', '"2026-02-30T12:00:00Z"'),
    *(
        f'"{day}T{clock}{zone}"'
        for day in ("2026-11-28", "1970-01-01")
        for clock in ("00:00:00", "24:00:00.0", "12:00:00,1")
        for zone in ("", "Z", " Z", "+0800", "+08:00:30.5")
    ),
    *(
        "0",
        "7",
        "-0",
        "01",
        "30",
        "-5",
        "1234567890123456",
        "1795867200",
        "1795867200123",
        "1795867200.5",
        "1795867200123456",
    ),
    *("0.5", "1.50", "0.00001", "0.0001", "1e3", "-0.0", "12345678.125", "NaN", "true", "null", "tru", "{}", "[]", "٣"),
)


def look_the_same(often: str, texts: Iterable[str]) -> None:
    """Each of these lines, after the first one came often, and read part by part: an escape before it does that."""
    pretty = Pretty(["worker"], ROOT, color=False)

    def line(text: str) -> str:
        return pretty.line("worker", Line(SECONDS, text.encode(), is_complete=True))

    for _ in range(60):
        line(often)
    for text in texts:
        assert line(text) == line(f"\x1b[0m{text}"), text


@pytest.mark.parametrize("often", ['"x"', "7", "0.5", "true", f'"{NOON}"', "1795867200123"])
@pytest.mark.parametrize(
    "name", ["event", "timestamp", "level", "workflow_id", "elapsed_ms", "is {new}", "pid", "error"]
)
def test_a_line_of_a_kind_that_came_often_looks_like_the_first_of_its_kind(name, often):
    def line(value: str) -> str:
        fields = {"event": '"e"', "timestamp": f'"{NOON}"', "level": '"info"', "run_id": '"r"', name: value}
        text = ", ".join(f'"{key}": {of_key}' for key, of_key in {"first": "1", **fields}.items())
        return f"{{{text}}}"

    look_the_same(line(often), map(line, VALUES))


LOGFMT_VALUES = (
    *(
        "",
        " ",
        '""',
        "x",
        "x " * 3,
        '"x y"',
        "x" * 200,
        "x" * 201,
        f'"{"x" * 200}"',
        f'"{"x" * 201}"',
        "你好",
        '"é"',
        "é",
    ),
    *(r'"a\"b"', r"a\b", r'"a\nb"', '"a\tb"', "\u200b", "a=b", '"a=b c=d"', "{0}", '"{0} %s"', "a,", 'a"b', "30", "-0"),
    *("INFO", "warn", '"error"', "loud", f"process_message_{'8bc6a514' * 4}", "1795867200", "1795867200.5"),
    *(
        NOON,
        f'"{NOON}"',
        NOON.replace("T", " "),
        "2026-02-30T12:00:00Z",
        '"1970-01-01T00:00:00Z"',
        "2026-11-28T12:00:00",
    ),
)


@pytest.mark.parametrize("often", ["x", '"x y"', NOON, f'"{NOON}"'])
@pytest.mark.parametrize("name", ["msg", "time", "level", "workflow_id", "elapsed_ms", "is.new", "error"])
def test_a_line_of_logfmt_that_came_often_looks_like_the_first_of_its_kind(name, often):
    def line(value: str) -> str:
        fields = {"time": NOON, "level": "INFO", "msg": '"order packed"', "run_id": "r", name: value}
        return " ".join(f"{key}={of_key}" for key, of_key in {"first": "1", **fields}.items())

    look_the_same(line(often), map(line, LOGFMT_VALUES))


def test_what_is_no_json_stays_text_however_often_it_comes():
    pretty = Pretty(["worker"], ROOT, color=False)
    text = '{"event": "a"}"level": "info"}'
    lines = {pretty.line("worker", Line(SECONDS, text.encode(), is_complete=True)) for _ in range(250)}
    assert lines == {f"{local_clock(SECONDS)} worker  {text}\n"}


@given(
    st.tuples(TIMES.map(str), st.sampled_from([" - ", " "]), st.sampled_from(["root", "a.b", "a::b"]), st.just(" - ")),
    st.sampled_from(["INFO", "warning", "Info"]),
    st.sampled_from([" - ", ":     ", ": " + " " * 10]),
    st.sampled_from(["", '127.0.0.1:5 - "GET /a HTTP/1.1" 200 OK', 'é - "GET /é HTTP/1.1" 200é', " - "]),
    WORDS,
    st.booleans(),
)
def test_a_line_of_a_common_logger_looks_the_same_however_it_is_read(head, level, between, access, word, is_first):
    text = "".join([*(() if is_first else head), level, between, access, word])
    assert shown(text) == shown(f"\x1b[0m{text}")


@given(st.binary())
def test_any_bytes_are_shown(data):
    assert shown(data).endswith("\n")


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_json_is_shown(value):
    assert shown(json.dumps({"event": "a", "x": value, "time": value, "level": value, "exception": value})).endswith(
        "\n"
    )


@pytest.mark.parametrize("color", [False, True])
def test_the_name_of_a_field_cannot_leave_its_line_either(color):
    text = shown(json.dumps({"event": "e", "\x1b[2Ja\nb\x07": "v"}), color=color)
    assert click.unstyle(text) == f"{local_clock(SECONDS)} worker        e  a\\nb?=v\n"
    assert "\x1b[2J" not in text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"process_message_{'8bc6a514' * 4}", "8bc6a514"),
        ("8bc6a514-1234-1234-1234-123456789012", "8bc6a514"),
        ("order-17", "order-17"),
        ("deadbeef", "deadbeef"),
        ("", ""),
    ],
)
def test_short_ids(text, short):
    assert short_id(text) == short


def test_a_line_costs_little():
    """Each costs much less than a terminal needs to draw it."""
    line = json.dumps(
        {"event": "e", "level": "info", "timestamp": NOON, **{f"k{number}": "v" * 20 for number in range(8)}}
    )
    with cpu_limit(1.2):
        for _ in range(300):
            shown(line, color=True)
