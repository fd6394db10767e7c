"""An existing Temporal cluster: TLS, client certificates, API keys; and why it does not let us in."""

from __future__ import annotations

import contextlib
import functools
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot_processes import TemporalServer
from tests.kit.certificates import Authority, Pair
from tests.kit.gateway import Gateway, Relay
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.programs import SLEEP
from tests.kit.project import Project

KEY = "the-key-that-nobody-may-see"
WORKER = """
import asyncio
from temporalio import workflow
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

@workflow.defn
class Job:
    @workflow.run
    async def run(self) -> str:
        return "done"

async def main():
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue="jobs", workflows=[Job], workflow_runner=runner, build_id="kit"):
        print(await client.execute_workflow("Job", id=f"job-{id(client)}", task_queue="jobs"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
RULE = '[process.jobs]\nready = "worker:jobs"\n'


@pytest.fixture(scope="module")
def _shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    with TemporalServer(tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@pytest.fixture(scope="session")
def server_pair(authority: Authority) -> Pair:
    return authority.issue("server")


@pytest.fixture
def gateway(_shared_cluster: TemporalServer) -> Iterator[Callable[..., Gateway]]:
    with contextlib.ExitStack() as stack:
        target = f"127.0.0.1:{_shared_cluster.port}"
        yield lambda **options: stack.enter_context(Gateway(target, **options))


@pytest.fixture
def relay(authority: Authority, server_pair: Pair) -> Iterator[Callable[..., Relay]]:
    with contextlib.ExitStack() as stack:

        def make(gate: Gateway, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Relay:
            return stack.enter_context(Relay(gate.address, server_pair, authority, newest))

        yield make


def client_of(project: Callable[..., Project], gate: Gateway | Relay, **env: object) -> Project:
    """A project with a worker that says nowhere itself how to reach the cluster."""
    settings = {"TEMPORAL_ADDRESS": gate.address, **{name: str(value) for name, value in env.items()}}
    this = project(scripts={"jobs": WORKER}, toml=RULE, backend="auto", env=settings)
    del this.ports["TEMPORAL_PORT"]
    return this


def works(this: Project) -> None:
    """A workflow of the worker is done; the stack may be ready a moment earlier."""
    poll_until(lambda: "done" in this.log("jobs"), DEADLINE, "the workflow is done")


def with_client(pair: Pair) -> dict[str, Path]:
    return {"TEMPORAL_TLS_CLIENT_CERT_PATH": pair.certificate, "TEMPORAL_TLS_CLIENT_KEY_PATH": pair.key}


# --- in use -----------------------------------------------------------------------------------------------------------


@dataclass
class Keyed:
    """A stack that runs: its cluster wants a client certificate, which is given as data, and an API key."""

    gate: Gateway
    stack: Project
    address: str
    up: str


@pytest.fixture(scope="module")
def keyed(
    _shared_cluster: TemporalServer, authority: Authority, server_pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keyed]:
    certificates = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": authority.certificate} | with_client(authority.issue("client"))
    as_data = {name.replace("_PATH", "_DATA"): path.read_text() for name, path in certificates.items()}
    make = functools.partial(Project, tmp_path_factory.mktemp("keyed"))
    with (
        Gateway(f"127.0.0.1:{_shared_cluster.port}", api_key=KEY) as gate,
        Relay(gate.address, server_pair, authority, ssl.TLSVersion.TLSv1_3) as front,
        client_of(make, front, **as_data) as stack,
    ):
        stack.write(".env", f"TEMPORAL_API_KEY={KEY}\n")
        yield Keyed(gate, stack, front.address, stack.up().text)


def assert_doctor_content(this: Project) -> None:
    checks = {check["id"]: check for check in this.mika("doctor", "--json").json["checks"]}
    found = [checks[name] for name in ("temporal", "namespace", "stack")]
    assert {check["status"] for check in found} == {"ok"}, found


def has_only_looked(gate: Gateway) -> bool:
    changes = {"RegisterNamespace", "UpdateNamespace", "DeleteNamespace", "DeprecateNamespace"}
    return "DescribeNamespace" in gate.methods and not changes & gate.methods


def test_client_certificates_as_data_and_an_api_key(keyed):
    assert f"Temporal is at {keyed.address} (TEMPORAL_ADDRESS): none is started here" in keyed.up
    found = keyed.stack.status()
    assert (found["backend"], found["state"]) == ("external", "ready")
    works(keyed.stack)
    assert_doctor_content(keyed.stack)
    assert has_only_looked(keyed.gate)
    assert keyed.gate.api_keys == {f"Bearer {KEY}"}


def test_a_key_that_is_withdrawn_is_told_and_nothing_is_stopped(keyed):
    keyed.gate.api_key = "the next one"
    found = keyed.stack.wait_state("temporal", "unhealthy")
    assert found["detail"] == f"{keyed.address} refuses the API key (UNAUTHENTICATED)"
    assert "TEMPORAL_API_KEY" in found["fix"]
    keyed.gate.api_key = KEY
    keyed.stack.wait_state("temporal", "ready")
    assert keyed.stack.unit("jobs")["restarts"] == 0


def test_an_api_key_is_told_nobody_else(keyed):
    """Neither was it when it was refused, in the test above."""
    arguments = [" ".join(process.cmdline()) for process in keyed.stack.alive()]
    assert any("jobs.py" in command for command in arguments)
    commands = ["config", "config --json", "status", "status --json", "doctor", "doctor --json", "workflows"]
    words = [keyed.stack.mika(*command.split()).text for command in [*commands, "logs mika"]]
    written = {path: path.read_bytes() for path in (keyed.stack.folder / ".mika").rglob("*") if path.is_file()}
    assert any(path.name == "mika.log" for path in written)
    assert KEY not in "".join([keyed.up, *words, *arguments])
    assert not [path for path, content in written.items() if KEY.encode() in content]


def test_the_bot_behind_client_certificates(own_bot, gateway, relay, authority):
    """These are files."""
    behind = gateway()
    gate = relay(behind)
    ca = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(authority.certificate), "TEMPORAL_ADDRESS": gate.address}
    login = {name: str(path) for name, path in with_client(authority.issue("bot")).items()}
    bot = own_bot(backend="external", env=ca | login)
    del bot.ports["TEMPORAL_PORT"]
    bot.up()
    assert "from afar" in bot.ok("send", "from afar").out
    assert_doctor_content(bot)
    assert has_only_looked(behind)


def test_a_profile_is_enough(project, gateway, authority, server_pair):
    """For mika, and for a worker of its own that reads its configuration as the SDK does."""
    gate = gateway(server=server_pair, api_key=KEY)
    this = client_of(project, gate, TEMPORAL_PROFILE="staging", TEMPORAL_CONFIG_FILE="clusters.toml")
    del this.env["TEMPORAL_ADDRESS"]
    tls = f"[profile.staging.tls]\nserver_ca_cert_path = {json.dumps(str(authority.certificate))}\n"
    this.write("clusters.toml", f'[profile.staging]\naddress = "{gate.address}"\napi_key = "{KEY}"\n{tls}')
    this.env["MIKA_BACKEND"] = "external"
    this.up()
    works(this)
    # Another terminal knows nothing of all that, and asks the same cluster.
    env = {"TEMPORAL_PROFILE": "", "TEMPORAL_CONFIG_FILE": ""}
    found = {check["id"]: check for check in this.mika("doctor", "--json", env=env).json["checks"]}
    assert (found["temporal"]["status"], found["namespace"]["status"]) == ("ok", "ok"), found
    assert gate.api_keys == {f"Bearer {KEY}"}


SEES = "import os\nprint('sees', [name for name in os.environ if name.startswith(('TEMPORAL_API_', 'TEMPORAL_TLS'))])\n"


def test_a_login_is_not_for_a_server_of_ours(project):
    """A key in the environment of a shell: the SDK would speak TLS to the development server, and send it there."""
    env = {"TEMPORAL_API_KEY": KEY, "TEMPORAL_TLS_SERVER_NAME": "elsewhere"}
    this = project(scripts={"jobs": SEES + SLEEP}, backend="embedded", env=env)
    this.up()
    this.wait_state("temporal", "ready")
    poll_until(lambda: "sees []" in this.log("jobs"), DEADLINE, "what the process sees")


# --- what does not let us in ------------------------------------------------------------------------------------------


def case(cause: str, authority: Authority, folder: Path) -> tuple[dict[str, Any], dict[str, object], str, str]:
    """What to give the gateway, the project's settings, and what is to be said: the cause and the fix."""
    good = authority.issue("good")
    mutual: dict[str, Any] = {"clients": True}
    pair = "set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
    ca: dict[str, object] = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": authority.certificate}
    match cause:
        case "wrong CA":
            other = Authority(folder / "other").certificate
            text = f"the certificate of ADDRESS is not signed by the CA {other}"
            fix = "set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the certificate of its CA"
            return {"server": good}, {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": other}, text, fix
        case "no CA":
            text = "the certificate of ADDRESS is not signed by a CA that this system trusts"
            fix = "set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the certificate of its CA"
            return {"server": good}, {"TEMPORAL_TLS": "true"}, text, fix
        case "a CA's own":
            own = authority.self_signed("own")
            text = "the certificate of ADDRESS is a CA certificate, which the SDK does not accept as a server's"
            fix = "`-addext basicConstraints=critical,CA:FALSE`"
            return {"server": own}, {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": own.certificate}, text, fix
        case "expired":
            return {"server": authority.issue("old", days=-1)}, ca, "the certificate of ADDRESS has expired", "renewed"
        case "wrong name":
            elsewhere = authority.issue("elsewhere", names="DNS:temporal.example")
            text = "the certificate of ADDRESS is not for 127.0.0.1, but for temporal.example"
            return {"server": elsewhere}, ca, text, "set TEMPORAL_TLS_SERVER_NAME=temporal.example"
        case "no client certificate":
            return mutual, ca, "ADDRESS wants a client certificate", pair
        case "expired client certificate":
            old = authority.issue("old-client", days=-1)
            return mutual, ca | with_client(old), f"the client certificate {old.certificate} has expired", "renew it"
        case "foreign client certificate":
            foreign = Authority(folder / "foreign").issue("client")
            return (
                mutual,
                ca | with_client(foreign),
                f"ADDRESS refuses the client certificate {foreign.certificate}",
                pair,
            )
        case "foreign client certificate as data":
            foreign = with_client(Authority(folder / "foreign").issue("client"))
            data = {name.replace("_PATH", "_DATA"): path.read_text() for name, path in foreign.items()}
            return mutual, ca | data, "ADDRESS refuses the client certificate that is given as data", pair
        case "mixed up":
            env = with_client(good) | {"TEMPORAL_TLS_CLIENT_KEY_PATH": authority.issue("another").key}
            return mutual, ca | env, "another.key is not the key of the certificate", "correct TEMPORAL_TLS_CLIENT_CERT"
        case "lost file":
            env = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "certs/lost.pem"}
            return {"server": good}, env, "lost.pem cannot be read", "correct TEMPORAL_TLS_SERVER_CA_CERT_PATH"
        case "wrong key":
            text, fix = "ADDRESS refuses the API key (UNAUTHENTICATED)", "set TEMPORAL_API_KEY to one that"
            return {"server": good, "api_key": "another"}, ca | {"TEMPORAL_API_KEY": KEY}, text, fix
        case "no key":
            return (
                {"server": good, "api_key": KEY},
                ca,
                "ADDRESS wants a login (UNAUTHENTICATED)",
                "set TEMPORAL_API_KEY",
            )
        case "namespace":
            text, fix = "ADDRESS has no namespace 'nowhere'", "set TEMPORAL_NAMESPACE to one that is there (default)"
            return {"server": good}, ca | {"TEMPORAL_NAMESPACE": "nowhere"}, text, fix
        case "no TLS here":
            env = {"MIKA_BACKEND": "external"}
            return {"server": good}, env, "ADDRESS speaks only TLS, and TLS is off here", "set TEMPORAL_TLS=true"
        case "no TLS there":
            return (
                {},
                {"TEMPORAL_TLS": "true"},
                "ADDRESS does not speak TLS, and TLS is on here",
                "set TEMPORAL_TLS=false",
            )
    raise ValueError(cause)


def test_a_certificate_that_signs_itself_and_is_none_of_a_ca_is_enough(project, gateway, authority):
    own = authority.self_signed("enough", "-addext", "basicConstraints=critical,CA:FALSE")
    this = client_of(project, gateway(server=own), TEMPORAL_TLS_SERVER_CA_CERT_PATH=own.certificate)
    this.up()
    works(this)


@pytest.mark.parametrize(
    "cause",
    [
        "wrong CA",
        "no CA",
        "a CA's own",
        "expired",
        "wrong name",
        "no client certificate",
        "expired client certificate",
        "foreign client certificate",
        "foreign client certificate as data",
        "mixed up",
        "lost file",
        "wrong key",
        "no key",
        "namespace",
        "no TLS here",
        "no TLS there",
    ],
)
def test_each_cause_is_told_at_once_with_its_fix(project, gateway, relay, authority, tmp_path, cause):
    options, settings, text, fix = case(cause, authority, tmp_path)
    gate = relay(gateway()) if options.pop("clients", False) else gateway(**options)
    this = client_of(project, gate, **settings)
    text = text.replace("ADDRESS", gate.address)
    how = ["-d"] if cause == "wrong key" else []
    failed = this.error("up", *how, "--timeout", "100", code=1, process=False)
    assert text in failed.err
    assert fix in failed.err
    assert "not ready after" not in failed.err
    assert "Traceback" not in failed.text
    found = {check["id"]: check for check in this.mika("doctor", "--json").json["checks"]}
    check = found["namespace" if cause == "namespace" else "temporal"]
    assert check["status"] == "fail"
    assert text in check["finding"]
    assert fix in check["fix"]
    if cause != "namespace":
        assert text in this.error("workflows", code=1).err
    assert KEY not in failed.text
