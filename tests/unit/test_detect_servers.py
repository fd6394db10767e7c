"""The server that a program connects to: what mika must tell it, and what it must ask."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.sources import API, HERE, make, only, proposed, worker

TEMPORAL_HOST = 'HOST = os.environ.get("TEMPORAL_HOST", "localhost:7233")'
SETTINGS = "class S(BaseSettings):\n    temporal_host: str = {}\nsettings = S()\n"
OF_DATACLASS = (
    'def load(env=None):\n    e = env or os.environ\n    return C(e.get("TEMPORAL_HOST", "localhost:7239"))\n'
)


def connecting(to: str, imports: str = "") -> str:
    return worker('"q"', imports).replace('connect("localhost:7233")', f"connect({to})")


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
    assert only(found).env == {"TEMPORAL_HOST": HERE}
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
    assert [process.env for process in found.processes] == [{"TEMPORAL_HOST": HERE}, {}]
    note = "worker.py has host and port in TEMPORAL_HOST: it gets localhost:7244"
    assert note in found.notes


def test_a_web_app_is_told_as_a_worker_is(tmp_path):
    client = f"from temporalio.client import Client\n{TEMPORAL_HOST}\nasync def c(): await Client.connect(HOST)\n"
    found = proposed(tmp_path, {"main.py": f"import os\nfrom own import c\n{API}", "own.py": client})
    assert only(found).env == {"TEMPORAL_HOST": HERE}


def test_a_worker_in_another_language(tmp_path):
    source = (
        "import { NativeConnection, Worker } from '@temporalio/worker';\n"
        "await NativeConnection.connect({ address: process.env.TEMPORAL_HOST || 'localhost:7233' });\n"
        "await Worker.create({ connection, taskQueue: 'q' });\n"
    )
    package = '{"scripts": {"start": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "1", "tsx": "1"}}'
    found = proposed(tmp_path, {"a/package.json": package, "a/src/worker.ts": source})
    assert only(found).env == {"TEMPORAL_HOST": HERE}


# --- a server elsewhere -----------------------------------------------------------------------------------------------


ELSEWHERE = "acme.tmprl.cloud:7233"


@pytest.mark.parametrize(
    ("to", "question"),
    [
        (f'"{ELSEWHERE}", tls=True', f"connects to {ELSEWHERE}, not to mika's server: is worker to run with that one?"),
        (
            f'os.getenv("T_URL", "{ELSEWHERE}")',
            f"connects to {ELSEWHERE} unless T_URL is set: is worker to run with that server?",
        ),
        ('"10.1.2.3:7233"', "connects to 10.1.2.3:7233, not to mika's server: is worker to run with that one?"),
    ],
)
def test_a_server_elsewhere_is_asked_about(tmp_path, to, question):
    sources = {"worker.py": connecting(to)}
    found = proposed(tmp_path, sources)
    assert [one.text for one in found.questions] == [f"worker.py {question}"]
    assert (found.questions[0].key, found.questions[0].choices) == ("server.worker", ("yes", "no"))
    assert only(found).ready == "worker:q/workflow", "every candidate, until it is answered"
    wanted = propose(tmp_path, {}, (8000, 7233), {"server.worker": "yes"})
    assert (only(wanted).ready, wanted.questions) == ("none", ()), "mika asks its own server alone"
    unwanted = propose(tmp_path, {}, (8000, 7233), {"server.worker": "no"})
    assert not unwanted.processes
    address = to.split('"')[-2]
    assert unwanted.notes == (f"worker.py connects to {address}: left out",)


@pytest.mark.parametrize(
    ("to", "more"),
    [
        (f'os.getenv("TEMPORAL_ADDRESS", "{ELSEWHERE}")', ""),
        (f'os.getenv("GIVEN", "{ELSEWHERE}")', ""),
        (f'"{ELSEWHERE}" if CLOUD else "localhost:7233"', ""),
        (f'"{ELSEWHERE}"', 'async def local(): await Client.connect("127.0.0.1:7233")'),
        ("'[::1]:7233'", ""),
        ("'127.0.0.2:7233'", ""),
        ("'https://a.b'", ""),
    ],
)
def test_a_server_that_may_be_ours_is_not_asked_about(tmp_path, to, more):
    assert not proposed(tmp_path, {"worker.py": connecting(to, more)}, GIVEN=ELSEWHERE).questions


def test_only_what_connects_elsewhere_is_asked_about(tmp_path):
    sources = {"main.py": API, "a/worker.py": worker('"a"'), "b/worker.py": worker('"b"', address=ELSEWHERE)}
    found = propose(make(tmp_path, sources), {}, (8000, 7233), {"server.b": "no"})
    assert [process.name for process in found.processes] == ["web", "a"]
    assert not found.questions


def test_a_worker_of_another_language_that_connects_elsewhere(tmp_path):
    source = (
        'package main\nimport (\n"go.temporal.io/sdk/client"\n"go.temporal.io/sdk/worker"\n)\n'
        f'func main() {{\nc, _ := client.Dial(client.Options{{HostPort: "{ELSEWHERE}"}})\n'
        'w := worker.New(c, "q", worker.Options{})\n}\n'
    )
    sources = {"go.mod": "module x\n\nrequire go.temporal.io/sdk v1.37.0\n", "main.go": source}
    assert [question.key for question in proposed(tmp_path, sources).questions] == ["server.worker"]


# --- localhost by its name --------------------------------------------------------------------------------------------


BRANCHES = """
ADDRESS = os.getenv("TEMPORAL_ADDRESS", "localhost:7233")
def connect():
    if {}:
        return Client.connect(ADDRESS)
    return Client.connect(ADDRESS, tls=True, api_key=KEY)
"""


@pytest.mark.parametrize(
    "test",
    [
        'ADDRESS.startswith("localhost")',
        'ADDRESS.startswith("localhost") or "host.docker.internal" in ADDRESS',
        'ADDRESS.startswith(("localhost", "temporal"))',
        '"localhost" in ADDRESS',
        'ADDRESS == "localhost:7233"',
        'ADDRESS.split(":")[0] in ("localhost", "temporal")',
        '"localhost" not in ADDRESS.lower()',
    ],
)
def test_an_address_that_is_compared_with_localhost(tmp_path, test):
    found = proposed(tmp_path, {"worker.py": connecting("ADDRESS", BRANCHES.format(test))})
    assert only(found).env == {"TEMPORAL_ADDRESS": HERE}
    note = "worker.py compares TEMPORAL_ADDRESS with localhost, and not with 127.0.0.1: it gets localhost:7233"
    assert found.notes == (note,)


@pytest.mark.parametrize(
    "test",
    [
        'ADDRESS.startswith(("localhost", "127.0.0.1"))',
        'ADDRESS.startswith("localhost") or ADDRESS.startswith("127.")',
        '"tmprl.cloud" not in ADDRESS',
        'OTHER.startswith("localhost")',
        'os.getenv("DB", "x").startswith("localhost")',
    ],
)
def test_an_address_that_may_be_a_number(tmp_path, test):
    assert not only(proposed(tmp_path, {"worker.py": connecting("ADDRESS", BRANCHES.format(test))})).env


def test_a_host_that_is_compared_with_localhost(tmp_path):
    test = 'def tls(): return os.getenv("TEMPORAL_HOST", "localhost") != "localhost"'
    to = "f\"{os.getenv('TEMPORAL_HOST', 'localhost')}:7233\""
    assert only(proposed(tmp_path, {"worker.py": connecting(to, test)})).env == {"TEMPORAL_HOST": "localhost"}


# --- a name of compose ------------------------------------------------------------------------------------------------

COMPOSE = "services:\n  temporal:\n    image: temporalio/auto-setup\n"


@pytest.mark.parametrize("given", [{}, {"T_URL": "temporal:7233"}])
def test_a_name_of_compose_in_a_variable(tmp_path, given):
    default = "localhost:7233" if given else "temporal:7233"
    sources = {"worker.py": connecting(f'os.getenv("T_URL", "{default}")'), "compose.yml": COMPOSE}
    found = proposed(tmp_path, sources, **given)
    assert only(found).env == {"T_URL": HERE}
    note = (
        "worker.py connects to temporal:7233, a name that exists only inside compose: T_URL is localhost:7233 instead"
    )
    assert found.notes == (note,)


def test_a_name_of_compose_that_no_program_here_uses(tmp_path):
    client = connecting('os.getenv("T_URL", "temporal:7233")').partition("    await Worker")[0]
    sources = {"worker.py": worker('"q"'), "client.py": client}
    found = proposed(tmp_path, sources)
    assert not only(found).env
    note = "client.py connects to temporal:7233, a name that exists only inside compose: set T_URL"
    assert note in found.notes


@pytest.mark.parametrize("name", ["TEMPORAL_ADDRESS", "TEMPORAL_HOST"])
def test_a_name_of_compose_that_mika_is_given(tmp_path, name):
    sources = {"worker.py": worker('"q"'), "compose.yml": COMPOSE}
    value = "temporal:7233" if name.endswith("S") else "temporal"
    found = proposed(tmp_path, sources, **{"TEMPORAL_HOST": "temporal", name: value})
    instead = "localhost:7233" if name.endswith("S") else "localhost"
    note = f"{name} is {value}, a name that exists only inside compose: set it to {instead}, in .env or where it is set"
    assert found.notes == (note,)
    del sources["compose.yml"]
    (tmp_path / "compose.yml").unlink()
    assert not proposed(tmp_path, sources, TEMPORAL_HOST="temporal").notes, "it may be a machine of this network"


# --- another port -----------------------------------------------------------------------------------------------------


def test_a_variable_whose_default_is_another_port(tmp_path):
    sources = {"worker.py": connecting('os.getenv("T_URL", "localhost:7239")')}
    found = proposed(tmp_path, sources)
    assert only(found).env == {"T_URL": HERE}
    assert found.notes == ("worker.py connects to localhost:7239 unless T_URL is set: it gets localhost:7233",)
    assert not found.settings
    assert not only(proposed(tmp_path, sources, T_URL="localhost:7239")).env, "the user wants that one"


@pytest.mark.parametrize(
    "connects", ['os.getenv("T_URL", "localhost:7233")', 'os.environ.get("T_URL") or "127.0.0.1:7233"']
)
def test_a_variable_with_the_usual_port_follows_the_one_that_is_chosen_later(tmp_path, connects):
    found = proposed(tmp_path, {"worker.py": connecting(connects)})
    assert only(found).env == {"T_URL": HERE}
    assert not found.notes, "nothing changes by it"
    assert not only(proposed(tmp_path, {"worker.py": connecting(connects)}, T_URL="localhost:7233")).env


@pytest.mark.parametrize(
    ("connects", "imports"),
    [
        ('os.environ["T_URL"]', ""),
        ('os.getenv("T_URL")', ""),
        ("settings.t_url", "class S(BaseSettings):\n    t_url: str\nsettings = S()\n"),
        ("settings.t_url", "class S(BaseSettings):\n    t_url: str = Field(...)\nsettings = S()\n"),
    ],
)
def test_an_address_that_is_required(tmp_path, connects, imports):
    sources = {"worker.py": connecting(connects, imports)}
    found = proposed(tmp_path, sources)
    assert only(found).env == {"T_URL": HERE}
    assert found.notes == ("worker.py connects to what T_URL says: it gets localhost:7233",)
    assert not only(proposed(tmp_path, sources, T_URL="t.example.com:7233")).env


def test_a_server_on_another_machine_that_the_user_chose(tmp_path):
    found = proposed(tmp_path, {"worker.py": connecting('os.environ["T_URL"]')}, TEMPORAL_HOST="t.example.com")
    assert only(found).env == {"T_URL": "${TEMPORAL_ADDRESS}"}
    assert found.notes == ("worker.py connects to what T_URL says: it gets t.example.com:7233",)


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ('model_config = SettingsConfigDict(env_prefix="SHOP_")', "SHOP_TEMPORAL_ADDRESS"),
        ('class Config:\n        env_prefix = "shop_"', "SHOP_TEMPORAL_ADDRESS"),
        ('model_config = {"env_prefix": "SHOP_"}', "SHOP_TEMPORAL_ADDRESS"),
        ("pass", ""),
    ],
)
def test_the_variables_of_settings_may_have_a_prefix(tmp_path, config, variable):
    settings = f'class S(BaseSettings):\n    {config}\n    temporal_address: str = "localhost:7239"\nsettings = S()\n'
    found = only(proposed(tmp_path, {"worker.py": connecting("settings.temporal_address", settings)}))
    assert found.env == ({variable: HERE} if variable else {})


HALVES = """
class Config:
    host = os.getenv("T_HOST", {host})
    port = int(os.getenv("T_PORT", "{port}"))
    @property
    def address(self):
        return f"{{self.host}}:{{self.port}}"
config = Config()
"""


@pytest.mark.parametrize("to", ['f"{config.host}:{config.port}"', "config.address"])
@pytest.mark.parametrize(("host", "port"), [('"localhost"', 7233), ('"127.0.0.1"', 7239)])
def test_host_and_port_with_variables_of_their_own(tmp_path, to, host, port):
    sources = {"worker.py": connecting(to, HALVES.format(host=host, port=port))}
    found = proposed(tmp_path, sources)
    assert only(found).env == {"T_PORT": "${TEMPORAL_PORT}"}
    assert "TEMPORAL_PORT" not in found.settings
    assert only(proposed(tmp_path, sources, T_PORT="7233")).env == {}
    assert only(proposed(tmp_path, sources, TEMPORAL_HOST="t.example.com")).env == {}


@pytest.mark.parametrize("host", ['"temporal"', "None"])
def test_the_host_of_an_address_exists_only_in_compose(tmp_path, host):
    sources = {"worker.py": connecting('f"{config.host}:{config.port}"', HALVES.format(host=host, port=7233))}
    found = proposed(tmp_path, sources)
    assert only(found).env == {"T_HOST": "localhost", "T_PORT": "${TEMPORAL_PORT}"}
    assert not found.notes


def test_an_address_among_arguments_that_are_unpacked(tmp_path):
    source = connecting("x", 'options = {"target_host": os.getenv("T_URL", "localhost:7239"), "namespace": "n"}\n')
    found = proposed(tmp_path, {"worker.py": source.replace("connect(x)", "connect(**options)")})
    assert only(found).env == {"T_URL": HERE}
    assert found.settings["TEMPORAL_NAMESPACE"].value == "n"


@pytest.mark.parametrize(
    "field",
    [
        'Field("localhost:7239", alias="T_URL")',
        'Field(default="localhost:7239", validation_alias="T_URL")',
        'Field("localhost:7239", validation_alias=AliasChoices("T_URL", "TEMPORAL_URL"))',
        'Field("localhost:7239", env="T_URL")',
    ],
)
def test_a_field_of_settings_may_name_its_variable(tmp_path, field):
    settings = f'class S(BaseSettings):\n    address: str = {field}\n    class Config:\n        env_prefix = "SHOP_"\n'
    found = only(proposed(tmp_path, {"worker.py": connecting("settings.address", f"{settings}settings = S()\n")}))
    assert found.env == {"T_URL": HERE}


@pytest.mark.parametrize(
    "settings",
    [
        'class B(BaseSettings):\n    pass\nclass S(B):\n    temporal_host: str = "localhost:7233"\nsettings = S()\n',
        'class S(CommonSettings):\n    temporal_host: str = "localhost:7233"\nsettings = S()\n',
    ],
    ids=["of this file", "of another one"],
)
def test_settings_of_a_class_of_the_project(tmp_path, settings):
    found = only(proposed(tmp_path, {"worker.py": connecting("settings.temporal_host", settings)}))
    assert found.env == {"TEMPORAL_HOST": HERE}


DEMO = """
import asyncio
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
async def main():
    async with await WorkflowEnvironment.start_local() as env:
        async with Worker(env.client, task_queue="demo", workflows=[]):
            pass
if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_worker_with_a_server_of_its_own_is_not_run(tmp_path):
    assert only(proposed(tmp_path, {"demo.py": DEMO, "worker.py": worker('"q"')})).command == "python worker.py"
