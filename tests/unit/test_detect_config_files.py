"""A task queue that stands in a config file of the project."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.sources import HERE, make, only, proposed, worker

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


READS = "import yaml\nsettings = yaml.safe_load(open('config.yaml'))\n"
PART = "part = settings['temporal']\n"


def connecting(address: str, queue: str = '"q"', imports: str = "from conf import settings") -> str:
    return worker(queue, imports).replace('"localhost:7233"', address)


@pytest.mark.parametrize(
    ("source", "path", "text"),
    [
        (connecting('settings["temporal"]["address"]'), "config.yaml", "temporal: {address: 'localhost:7244'}"),
        (connecting("settings.temporal.address"), "conf.toml", '[temporal]\naddress = "localhost:7244"'),
        (
            connecting('part["address"]', imports=f"from conf import settings\n{PART}"),
            "settings.yml",
            "temporal: {address: 'localhost:7244'}\nother: {address: 'localhost:1'}",
        ),
        (
            connecting("f\"{part['host']}:{part['port']}\"", imports=f"from conf import settings\n{PART}"),
            "config.toml",
            '[temporal]\nhost = "localhost"\nport = 7244\n[server]\nport = 1',
        ),
        (connecting("settings.temporal.address"), "config/temporal.yaml", "address: localhost:7244"),
    ],
)
def test_an_address_in_a_config_file_decides_the_port(tmp_path, source, path, text):
    make(tmp_path, {"worker.py": source, "conf.py": READS, path: text})
    guess = propose(tmp_path, {}, (8000, 7299), {}).settings["TEMPORAL_PORT"]
    assert guess.value == "7244"
    assert guess.why == f"{path} has this port (to use another one, change it there, too)"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (connecting("settings.address"), "cache: {address: 'localhost:6379'}"),
        (connecting("settings.temporal.address"), "temporal: {}\ncache: {address: 'localhost:6379'}"),
        (connecting("settings.temporal.address"), "temporal: {address: '${oc.env:X,localhost}:7244'}"),
    ],
)
def test_an_address_of_something_else_or_in_parts_decides_nothing(tmp_path, source, text):
    found = proposed(tmp_path, {"worker.py": source, "conf.py": READS, "config.yaml": text})
    assert "TEMPORAL_PORT" not in found.settings


def test_a_name_of_compose_in_a_config_file(tmp_path):
    source, text = connecting("settings.temporal.address"), "temporal: {address: 'temporal:7233'}"
    found = proposed(tmp_path, {"worker.py": source, "conf.py": READS, "config.yaml": text})
    assert "config.yaml connects to temporal:7233, a name that exists only inside compose: change it" in found.notes


@pytest.mark.parametrize(
    "written", ["${oc.env:T_ADDRESS,localhost:7244}", "${T_ADDRESS:-localhost:7244}", "${T_ADDRESS}"]
)
def test_a_variable_in_a_config_file(tmp_path, written):
    source = connecting("settings.temporal.address", "settings.temporal.queue")
    text = f'temporal: {{address: "{written}", queue: "${{oc.env:T_QUEUE,orders}}"}}'
    found = proposed(tmp_path, {"worker.py": source, "conf.py": READS, "config.yaml": text}, T_QUEUE="mine")
    assert (only(found).queues, only(found).env) == (("mine",), {"T_ADDRESS": HERE})
    assert "TEMPORAL_PORT" not in found.settings


@pytest.mark.parametrize(
    ("defaults", "queues"), [("defaults:\n  - temporal: local\n  - _self_\n", ("mine",)), ("", ())]
)
def test_a_group_of_files_from_which_hydra_chooses(tmp_path, defaults, queues):
    files = {
        "conf/config.yaml": f"{defaults}app: {{name: x}}",
        "conf/temporal/local.yaml": "task_queue: mine",
        "conf/temporal/cloud.yaml": "task_queue: of-the-cloud",
    }
    source = "import hydra\n@hydra.main(config_path='conf', config_name='config')\ndef go(settings): pass\n"
    found = proposed(tmp_path, {**project("settings.temporal.task_queue", source), **files})
    assert bool(found.questions) is not bool(queues)
    assert (only(found).queues == queues) is bool(queues)


PARSER = "import configparser\nsettings = configparser.ConfigParser()\nsettings.read('config.ini')\n"
INI = "[temporal]\nhost = localhost\nport = 7244\nnamespace = shop\ntask_queue = mine\n[other]\ntask_queue = another\n"


@pytest.mark.parametrize(
    ("source", "used"),
    [
        (PARSER, 'settings["temporal"]["task_queue"]'),
        (PARSER, 'settings["temporal"].get("task_queue", "of-the-call")'),
        (f"{PARSER}QUEUE = settings.get('temporal', 'task_queue', fallback='of-the-call')\n", "QUEUE"),
        (f"{PARSER}QUEUE = settings.get('temporal', 'task_queue')\n", "conf.QUEUE"),
        (f"{PARSER}QUEUE = settings['temporal']['task_queue']\n", "conf.QUEUE"),
    ],
)
def test_a_queue_that_configparser_reads(tmp_path, source, used):
    files = {"worker.py": worker(used, "import conf\nfrom conf import QUEUE, settings"), "conf.py": source}
    assert only(proposed(tmp_path, {**files, "config.ini": INI})).queues == ("mine",)


def test_an_address_and_a_namespace_that_configparser_reads(tmp_path):
    made = """f"{settings['temporal']['host']}:{settings.get('temporal', 'port')}", namespace=part.get('namespace')"""
    source = connecting(made, imports=f"{PARSER}{PART}")
    settings = proposed(tmp_path, {"worker.py": source, "config.ini": INI}).settings
    assert {name: guess.value for name, guess in settings.items()} == {
        "TEMPORAL_PORT": "7244",
        "TEMPORAL_NAMESPACE": "shop",
    }


@pytest.mark.parametrize("text", ["task_queue = no table\n", "[temporal]\ntask_queue = of-%(stage)s\n"])
def test_an_ini_file_that_tells_nothing_for_certain(tmp_path, text):
    assert proposed(tmp_path, project('settings["temporal"]["task_queue"]', PARSER, config__ini=text)).questions
