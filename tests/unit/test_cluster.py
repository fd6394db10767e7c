"""Where a Temporal cluster of somebody else is, and how to log in: variables, profiles, and what counts more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mika.backends.choice import choose
from mika.config.cluster import LOGIN
from mika.config.load import Config
from mika.project.folder import ProjectDir

from tests.kit.config import failure, load

PROFILES = """
[profile.default]
address = "here.example:7001"

[profile.staging]
address = "staging.example:7002"
namespace = "team"
api_key = "s3cret"

[profile.odd]
address = 7233
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the folder of another system")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with profiles in the usual place."""
    file = tmp_path / "config" / "temporalio" / "temporal.toml"
    file.parent.mkdir(parents=True)
    file.write_text(PROFILES, encoding="utf-8")
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def place(found: Config) -> str:
    return f"{found.text('TEMPORAL_HOST')}:{found.text('TEMPORAL_PORT')}/{found.text('TEMPORAL_NAMESPACE')}"


@linux_only
@pytest.mark.parametrize(
    ("toml", "env", "expected"),
    [
        ("", {}, "here.example:7001/default"),
        ("", {"TEMPORAL_PROFILE": "staging"}, "staging.example:7002/team"),
        ("temporal_profile = 'staging'\n", {}, "staging.example:7002/team"),
        # What the project says counts more than what its user has for everything, and less than what he asks for now.
        ("temporal_port = 7300\n", {}, "127.0.0.1:7300/default"),
        ("temporal_port = 7300\n", {"TEMPORAL_PROFILE": "staging"}, "staging.example:7002/team"),
        # A variable counts most, and a host never gets the port of another source.
        ("", {"TEMPORAL_PROFILE": "staging", "TEMPORAL_NAMESPACE": "mine"}, "staging.example:7002/mine"),
        ("", {"TEMPORAL_PROFILE": "staging", "TEMPORAL_ADDRESS": "[::1]:7233"}, "::1:7233/team"),
        ("", {"TEMPORAL_PROFILE": "staging", "TEMPORAL_HOST": "other"}, "other:7233/team"),
        ("", {"TEMPORAL_PROFILE": "staging", "TEMPORAL_ADDRESS": "other"}, "other:7233/team"),
        ("temporal_port = 7300\n", {"TEMPORAL_ADDRESS": "other"}, "other:7300/default"),
        # A server that mika starts is not that of a profile.
        ("", {"TEMPORAL_PROFILE": "staging", "MIKA_BACKEND": "embedded"}, "127.0.0.1:7233/default"),
    ],
)
def test_which_cluster(folder: Path, home: dict[str, str], toml: str, env: dict[str, str], expected: str) -> None:
    (folder / "mika.toml").write_text(toml, encoding="utf-8")
    assert place(load(folder, home | env)) == expected


def test_profiles_beside_the_project(folder: Path) -> None:
    (folder / "temporal.toml").write_text(PROFILES, encoding="utf-8")
    (folder / ".env").write_text("TEMPORAL_CONFIG_FILE=temporal.toml\nTEMPORAL_PROFILE=staging\n", encoding="utf-8")
    found = load(folder)
    assert place(found) == "staging.example:7002/team"
    assert found.settings["TEMPORAL_HOST"].origin == f"{folder / 'temporal.toml'}:6"
    assert found.is_elsewhere
    told = found.child_env({})  # a process may run in another folder
    assert told["TEMPORAL_CONFIG_FILE"] == str(folder / "temporal.toml")
    assert {told["TEMPORAL_PROFILE"], told["TEMPORAL_ADDRESS"]} == {"staging", "staging.example:7002"}
    assert "s3cret" not in repr(found)


@linux_only
@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TEMPORAL_PROFILE": "stagign"}, "has no profile 'stagign'; did you mean 'staging'?"),
        ({"TEMPORAL_PROFILE": "odd"}, "temporal.toml:11: address must be a string"),
        ({"TEMPORAL_CONFIG_FILE": "nowhere.toml"}, "nowhere.toml, which is not a file"),
        ({"TEMPORAL_TLS": "maybe"}, "environment: TEMPORAL_TLS is 'maybe', which is neither true nor false"),
        ({"TEMPORAL_API_KEY": "a b"}, "environment: TEMPORAL_API_KEY has a value that contains a space"),
    ],
)
def test_mistakes(folder: Path, home: dict[str, str], env: dict[str, str], message: str) -> None:
    assert message in failure(folder, home | env)


def test_a_profile_without_a_file(folder: Path, tmp_path: Path) -> None:
    nothing = {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path), "TEMPORAL_PROFILE": "x"}
    assert "there is no file of profiles" in failure(folder, nothing)


LOGINS = {
    "TEMPORAL_API_KEY": "s3cret",
    "TEMPORAL_TLS": "1",
    "TEMPORAL_TLS_CLIENT_KEY_DATA": "-----BEGIN\ns3cret\n-----END",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "ca.pem",
    "TEMPORAL_GRPC_META_X_TOKEN": "s3cret",
}


def test_a_login_reaches_the_processes_of_a_cluster_and_no_others(folder: Path) -> None:
    found = load(folder, LOGINS)
    told = found.for_backend("external").child_env(LOGINS)
    assert {name: told[name] for name in LOGINS} == LOGINS | {
        "TEMPORAL_TLS": "true",
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(folder / "ca.pem"),
    }
    assert found.for_backend("external").login(LOGINS) == {name: told[name] for name in LOGINS}
    for backend in ("embedded", "docker"):
        local = found.for_backend(backend)
        assert not LOGINS.keys() & local.child_env(LOGINS).keys()
        assert local.login(LOGINS) == {}
        assert not set(LOGIN) & local.addresses().keys()
    assert "s3cret" not in repr([found.addresses(), [setting.shown for setting in found.settings.values()]])


@linux_only
def test_the_users_own_profile_is_not_for_a_server_of_ours(folder: Path, home: dict[str, str]) -> None:
    told = load(folder, home).for_backend("embedded").child_env(home)
    assert told["TEMPORAL_CONFIG_FILE"] == os.devnull
    assert place(load(folder, {"TEMPORAL_CONFIG_FILE": os.devnull} | home)) == "127.0.0.1:7233/default"  # mika in there
    assert "TEMPORAL_CONFIG_FILE" not in load(folder, home).for_backend("external").child_env(home)


@pytest.mark.parametrize(
    ("env", "elsewhere"),
    [
        ({}, False),
        ({"TEMPORAL_API_KEY": "x"}, False),  # for whatever its user does elsewhere
        ({"TEMPORAL_API_KEY": "x", "TEMPORAL_ADDRESS": "localhost:7300"}, True),
        ({"TEMPORAL_TLS": "false", "TEMPORAL_ADDRESS": "localhost:7300"}, False),
        ({"TEMPORAL_ADDRESS": "x.tmprl.cloud:7233"}, True),
        ({"TEMPORAL_ADDRESS": "x.tmprl.cloud"}, True),
    ],
)
def test_when_temporal_is_elsewhere(folder: Path, tmp_path: Path, env: dict[str, str], *, elsewhere: bool) -> None:
    assert load(folder, {"XDG_CONFIG_HOME": str(tmp_path), **env}).is_elsewhere is elsewhere


def test_a_running_stack_tells_its_login_but_for_the_secrets(folder: Path) -> None:
    recorded = load(folder, LOGINS).addresses()
    again = load(folder, {"TEMPORAL_API_KEY": "s3cret"}).as_started(recorded)
    assert (again.text("TEMPORAL_TLS"), again.text("TEMPORAL_API_KEY")) == ("true", "s3cret")
    assert "s3cret" not in repr(recorded)


def test_a_cluster_counts_more_than_the_backend_of_last_time(folder: Path, tmp_path: Path) -> None:
    nobody = {"XDG_CONFIG_HOME": str(tmp_path)}
    kept = ProjectDir(folder)
    kept.root.mkdir()
    kept.data.mkdir()
    kept.remember_backend("embedded")
    assert choose(load(folder, nobody), kept, []) == ("embedded", "")
    name, note = choose(load(folder, nobody | {"TEMPORAL_ADDRESS": "x.tmprl.cloud:7233"}), kept, [])
    assert (name, note) == (
        "external",
        "Temporal is at x.tmprl.cloud:7233 (TEMPORAL_ADDRESS): none is started here",
    )
