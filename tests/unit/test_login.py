"""How to log in to a cluster: what the settings and files are worth, before anybody connects."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.config.load import Config
from mika.readiness.ladder import Hopeless
from mika.readiness.login import Login, context_of, read

from tests.kit.config import load


def test_without_settings_nothing_is_needed() -> None:
    assert read({}) == Login()
    assert context_of(Login()) is None


def test_an_api_key_switches_tls_on() -> None:
    assert read({"TEMPORAL_API_KEY": "k"}).tls
    assert not read({"TEMPORAL_API_KEY": "k", "TEMPORAL_TLS": "false"}).tls
    login = read({"TEMPORAL_API_KEY": "k", "TEMPORAL_GRPC_META_X_TEAM": "blue"})
    assert login.metadata == {"authorization": "Bearer k", "x-team": "blue"}


@pytest.mark.parametrize(
    ("variables", "text", "fix"),
    [
        ({"TEMPORAL_TLS_CLIENT_CERT_PATH": "FILE"}, "only the certificate", "set TEMPORAL_TLS_CLIENT_KEY_PATH"),
        ({"TEMPORAL_TLS_CLIENT_KEY_DATA": "x"}, "only the key", "set TEMPORAL_TLS_CLIENT_CERT_PATH"),
        (
            {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "FILE"},
            "is not in PEM format",
            "correct TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        ),
        (
            {"TEMPORAL_TLS_SERVER_CA_CERT_DATA": "x"},
            "given as data is not in PEM",
            "correct TEMPORAL_TLS_SERVER_CA_CERT",
        ),
        (
            {"TEMPORAL_TLS_CLIENT_CERT_PATH": "FILE", "TEMPORAL_TLS_CLIENT_KEY_PATH": "FILE"},
            "are not a certificate and its key in PEM format",
            "correct TEMPORAL_TLS_CLIENT_CERT_PATH or TEMPORAL_TLS_CLIENT_KEY_PATH",
        ),
        ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "FOLDER"}, "cannot be read", "correct TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
        (
            {"TEMPORAL_TLS_CLIENT_KEY_PATH": "FILE", "TEMPORAL_TLS_CLIENT_KEY_DATA": "x"},
            "the login to Temporal cannot be read",
            "`mika config`",
        ),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, variables: dict[str, str], text: str, fix: str) -> None:
    (tmp_path / "some.pem").write_text("not a certificate")
    places = {"FILE": str(tmp_path / "some.pem"), "FOLDER": str(tmp_path)}
    with pytest.raises(Hopeless) as caught:
        context_of(read({name: places.get(value, value) for name, value in variables.items()}))
    assert text in caught.value.reason.text
    assert fix in caught.value.reason.fix


def test_a_broken_profile_does_not_show_its_key(tmp_path: Path) -> None:
    """The SDK quotes the line that it does not understand."""
    file = tmp_path / "clusters.toml"
    file.write_text('[profile.default]\napi_key = ["s3cret"]\n', encoding="utf-8")
    found: Config = load(tmp_path, {"TEMPORAL_CONFIG_FILE": str(file)})
    with pytest.raises(Hopeless) as caught:
        read(found.login({}))
    assert "line 2" in caught.value.reason.text
    assert "s3cret" not in str(caught.value)
