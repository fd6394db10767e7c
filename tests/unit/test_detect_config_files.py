"""A task queue that stands in a config file of the project."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker

YAML = """
import yaml
from pydantic import BaseModel
class Temporal(BaseModel):
    task_queue: str = "of-the-class"
class Settings(BaseModel):
    temporal: Temporal = Temporal()
settings = Settings(**yaml.safe_load(open("config.yaml")))
"""


def project(used: str, source: str = YAML, **files: str) -> dict[str, str]:
    return {"worker.py": worker(used, "from conf import settings"), "conf.py": source} | {
        name.replace("__", "."): text for name, text in files.items()
    }


@pytest.mark.parametrize(
    "used",
    [
        "settings.temporal.task_queue",
        'settings["temporal"]["task_queue"]',
        'settings["temporal"].get("task_queue", "of-the-call")',
        "settings.TEMPORAL.TASK_QUEUE",
    ],
)
def test_a_queue_in_yaml_counts_more_than_the_default_of_a_class(tmp_path, used):
    written = "other:\n  task_queue: another\ntemporal:\n  task_queue: of-the-file\n"
    assert only(proposed(tmp_path, project(used, config__yaml=written))).queues == ("of-the-file",)


def test_a_queue_in_toml_whatever_its_environment_is_called(tmp_path):
    source = "from dynaconf import Dynaconf\nsettings = Dynaconf(settings_files=['settings.toml'])\n"
    written = '[default.temporal]\ntask_queue = "of-toml"\n[production]\nhost = "temporal.prod"\n'
    found = proposed(tmp_path, project("settings.temporal.task_queue", source, settings__toml=written))
    assert only(found).queues == ("of-toml",)


@pytest.mark.parametrize(
    "files",
    [
        {"config__yaml": "temporal: {task_queue: a}", "config_dev__yml": "temporal: {task_queue: b}"},
        {"config__yaml": "temporal: {task_queue: 'of-${ENVIRONMENT}'}"},
    ],
)
def test_what_no_file_tells_for_certain_is_asked(tmp_path, files):
    assert proposed(tmp_path, project("settings.temporal.task_queue", **files)).questions


@pytest.mark.parametrize(
    ("source", "files"),
    [
        (YAML.replace("import yaml\n", "").replace("yaml.safe_load(open(", "dict((").replace('"))', '"))'), {}),
        (YAML, {"config__yaml": "temporal: [\n"}),
        (YAML, {"values__yaml": "temporal: {task_queue: of-helm}"}),
    ],
)
def test_without_such_a_file_or_who_reads_it_the_class_decides(tmp_path, source, files):
    given = files or {"config__yaml": "temporal: {task_queue: of-the-file}"}
    assert only(proposed(tmp_path, project("settings.temporal.task_queue", source, **given))).queues == (
        "of-the-class",
    )


def test_a_constant_of_the_source_is_not_what_some_table_has_under_its_name(tmp_path):
    source = 'import yaml\nTASK_QUEUE = "of-the-source"\n'
    files = {
        "worker.py": worker("conf.TASK_QUEUE", "import conf"),
        "conf.py": source,
        "config.yaml": "other: {task_queue: another}",
    }
    assert only(proposed(tmp_path, files)).queues == ("of-the-source",)
