"""`[temporal]` and `[schedule.NAME]`: what is accepted, and the one line for everything else."""

from __future__ import annotations

import zoneinfo

import pytest
from mika.config.cron import check_cron
from mika.config.declared import Namespace, NexusEndpoint, Schedule, SearchAttribute
from mika.config.load import Config, load
from mika.errors import UsageError

GOOD = """
[temporal]
namespaces = ["orders"]
search_attributes = { CustomerId = "Keyword", orders = { Total = "Double" } }
nexus_endpoints = { billing = { namespace = "orders", task_queue = "jobs" } }

[schedule.nightly]
workflow = "Report"
task_queue = "jobs"
cron = "0 3 * * MON-FRI"
args = ["all", 1, { deep = [1.5, true] }]
"""


def loaded(folder, toml: str, pyproject: str = "") -> Config:
    (folder / "mika.toml").write_text(toml)
    (folder / "pyproject.toml").write_text(pyproject)
    return load(folder, environ={})


def test_everything_that_can_be_declared(tmp_path):
    declared = loaded(tmp_path, 'temporal_namespace = "main"\n' + GOOD).declared
    assert declared.namespaces == (Namespace(namespace="orders", name="orders", where="mika.toml:4"),)
    assert declared.search_attributes == (
        SearchAttribute(namespace="main", name="CustomerId", type="Keyword", where="mika.toml:5"),
        SearchAttribute(namespace="orders", name="Total", type="Double", where="mika.toml:5"),
    )
    endpoint = NexusEndpoint(namespace="orders", name="billing", task_queue="jobs", where="mika.toml:6")
    assert declared.nexus_endpoints == (endpoint,)
    schedule = Schedule(
        namespace="main",
        name="nightly",
        workflow="Report",
        task_queue="jobs",
        cron="0 3 * * MON-FRI",
        args=("all", 1, {"deep": [1.5, True]}),
        where="mika.toml:8",
    )
    assert declared.schedules == (schedule,)


def test_nothing_declared_is_false(tmp_path):
    assert not loaded(tmp_path, "").declared


def test_mika_toml_overrides_single_keys_of_pyproject(tmp_path):
    pyproject = GOOD.replace("[temporal]", "[tool.mika.temporal]").replace("[schedule.", "[tool.mika.schedule.")
    toml = '[temporal.search_attributes]\nCustomerId = "Text"\n[schedule.nightly]\ninterval = 60\n'
    declared = loaded(tmp_path, toml, pyproject).declared
    assert [(item.name, item.type) for item in declared.search_attributes] == [
        ("CustomerId", "Text"),
        ("Total", "Double"),
    ]
    assert [(item.cron, item.interval, item.workflow) for item in declared.schedules] == [("", 60, "Report")]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            '"Keyword"',
            '"keyword"',
            4,
            ["'CustomerId' has the type 'keyword'", "did you mean 'Keyword'?", "KeywordList"],
        ),
        ('"Keyword"', "3", 4, ["'CustomerId' has the type a whole number", "give one of Keyword"]),
        ("CustomerId", '"a b"', 4, ["'a b' is not the name of a search attribute"]),
        ('["orders"]', '"orders"', 3, ["'namespaces' must be a list"]),
        ('["orders"]', '["order"]', 4, ["Total is for the namespace 'orders'", "did you mean 'order'?", "add it to"]),
        ("namespaces", "namespace", 3, ["unknown key 'namespace' in [temporal]", "did you mean 'namespaces'?"]),
        ("billing", '"my billing"', 5, ["'my billing' is not the name of a Nexus endpoint"]),
        (', task_queue = "jobs"', "", 5, ["billing has no task queue", "add `task_queue`"]),
        ('workflow = "Report"\n', "", 7, ["nightly has no type of workflow", "add `workflow`"]),
        ('task_queue = "jobs"\n', "", 7, ["nightly has no task queue", "add `task_queue`"]),
        ('cron = "0 3 * * MON-FRI"\n', "", 7, ["nightly has no time", "add `cron` or `interval`"]),
        ("args =", "interval = 1\nargs =", 7, ["both `cron` and `interval`"]),
        ("0 3 * * MON-FRI", "0 3 * * MOX", 10, ["'cron' is '0 3 * * MOX'", "'MOX' for the day of the week (0 to 7)"]),
        ("0 3 * * MON-FRI", "@every 1h", 10, ["write `interval = SECONDS`"]),
        ('cron = "0 3 * * MON-FRI"', "interval = 0.5", 10, ["'interval' is 0.5", "whole number of seconds"]),
        ("1.5", "1979-05-27", 11, ["'args' contains a date or time", "write it as a string"]),
        ("1.5", "nan", 11, ["'args' contains nan"]),
        ('workflow = "Report"', "workflow = 3", 8, ["'workflow' must be a string, not a whole number"]),
        ("[schedule.nightly]", "[schedule]", 8, ["'workflow' must be a table; write [schedule.NAME]"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_fix(tmp_path, old, new, line, words):
    assert old in GOOD
    with pytest.raises(UsageError) as error:
        loaded(tmp_path, GOOD.replace(old, new, 1))
    assert error.value.message.startswith(f"mika.toml:{line}: ")
    assert "\n" not in error.value.message
    for word in words:
        assert word in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * *",
        "*/10 * * * *",
        "0,30 8-18/2 1 jan-MAR sun,Wednesday",
        "0 0 * * 7",
        "0 3 * * * 2027",
        "30 0 3 * * * 2027-2030",
        "@daily",
        "CRON_TZ=Europe/Berlin 0 3 * * *",
        "0 3 * * * # at night",
    ],
)
def test_what_temporal_takes_as_cron(text):
    check_cron(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 3 * *", "4 fields"),
        ("60 3 * * *", "'60' for the minute"),
        ("0 3 * * 8", "'8' for the day of the week"),
        ("5-3 3 * * *", "'5-3' for the minute"),
        ("*/0 3 * * *", "'*/0' for the minute"),
        ("1/2/3 3 * * *", "'1/2/3' for the minute"),
        ("0 3 * ja *", "'ja' for the month"),
        ("0 3 ? * *", "'?' for the day of the month"),
        ("0 3 * * * 1999", "'1999' for the year"),
        pytest.param(
            "TZ=Nowhere/Else 0 3 * * *",
            "time zone 'Nowhere/Else'",
            marks=pytest.mark.skipif(not zoneinfo.available_timezones(), reason="Windows has no list of time zones"),
        ),
        ("", "0 fields"),
        ("² 3 * * *", "'²' for the minute"),
    ],
)
def test_what_temporal_does_not_take_as_cron(text, words):
    with pytest.raises(ValueError, match="has") as error:
        check_cron(text)
    assert words in str(error.value)
