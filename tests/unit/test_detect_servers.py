"""The server that a program connects to: what mika must tell it, and what it must ask."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.sources import API, make, only, proposed, worker

TEMPORAL_HOST = 'HOST = os.environ.get("TEMPORAL_HOST", "localhost:7233")'
SETTINGS = "class S(BaseSettings):\n    temporal_host: str = {}\nsettings = S()\n"
OF_DATACLASS = (
    'def load(env=None):\n    e = env or os.environ\n    return C(e.get("TEMPORAL_HOST", "localhost:7239"))\n'
)


def connecting(to: str, imports: str = "") -> str:
    return worker('"q"', imports).replace('"localhost:7233"', to)


# --- TEMPORAL_HOST with a port ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "imports", "others"),
    [
        ("HOST", TEMPORAL_HOST, {}),
        ('os.environ["TEMPORAL_HOST"]', "", {}),
        ('os.getenv("TEMPORAL_HOST") or "localhost:7233"', "", {}),
        ("settings.temporal_host", SETTINGS.format('"localhost:7233"'), {}),
        ("settings.temporal_host", SETTINGS.format('Field(default="localhost:7233")'), {}),
        ("config.temporal_host", "from config import load\nconfig = load()", {"config.py": OF_DATACLASS}),
    ],
)
def test_a_host_that_is_used_as_the_whole_address(tmp_path, to, imports, others):
    found = proposed(tmp_path, {"worker.py": connecting(to, imports), **others})
    assert only(found).env == {"TEMPORAL_HOST": "localhost:7233"}
    path = "config.py" if others else "worker.py"
    assert found.notes == (f"{path} has host and port in TEMPORAL_HOST: it gets localhost:7233",)
    assert not found.settings


@pytest.mark.parametrize(
    "to",
    [
        'os.getenv("TEMPORAL_ADDRESS", "localhost:7233")',
        "f\"{os.getenv('TEMPORAL_HOST', 'localhost')}:7233\"",
        'os.getenv("TEMPORAL_HOST", "localhost") + ":7233"',
    ],
)
def test_a_host_that_is_a_host(tmp_path, to):
    found = proposed(tmp_path, {"worker.py": connecting(to)})
    assert not only(found).env
    assert not found.notes


def test_what_the_user_has_set_is_not_set_again(tmp_path):
    assert not only(proposed(tmp_path, {"worker.py": connecting("HOST", TEMPORAL_HOST)}, TEMPORAL_HOST="h:1")).env


def test_the_port_is_the_one_that_the_server_will_have(tmp_path):
    sources = {"worker.py": connecting("HOST", TEMPORAL_HOST), "b/worker.py": worker('"b"', address="localhost:7244")}
    found = propose(make(tmp_path, sources), {}, (8000, 7300), {})
    assert [process.env for process in found.processes] == [{"TEMPORAL_HOST": "localhost:7244"}, {}]


def test_a_web_app_is_told_as_a_worker_is(tmp_path):
    client = f"from temporalio.client import Client\n{TEMPORAL_HOST}\nasync def c(): await Client.connect(HOST)\n"
    found = proposed(tmp_path, {"main.py": f"import os\nfrom own import c\n{API}", "own.py": client})
    assert only(found).env == {"TEMPORAL_HOST": "localhost:7233"}


def test_a_worker_in_another_language(tmp_path):
    source = (
        "import { NativeConnection, Worker } from '@temporalio/worker';\n"
        "await NativeConnection.connect({ address: process.env.TEMPORAL_HOST || 'localhost:7233' });\n"
        "await Worker.create({ connection, taskQueue: 'q' });\n"
    )
    package = '{"scripts": {"start": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "1", "tsx": "1"}}'
    found = proposed(tmp_path, {"a/package.json": package, "a/src/worker.ts": source})
    assert only(found).env == {"TEMPORAL_HOST": "localhost:7233"}
