"""Which backend comes out, and what is said of the services of the compose file, where no engine answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mika import backends
from mika.backends.base import Backend
from mika.backends.beside import concerns
from mika.backends.choice import planned
from mika.backends.docker.services import parse
from mika.backends.infrastructure import judged
from mika.config import load as config
from mika.config.load import Config
from mika.config.process_options import ProcessOptions
from mika.errors import UsageError
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir
from mika.stack.prepared import prepare

COMPOSE = """
services:
  temporal: {image: temporalio/server, ports: ['7233:7233']}
  mongo: {image: mongo, ports: ['${MONGO_PORT:-27017}:27017']}
  mail: {image: mailpit, profiles: [mail]}
  api: {build: .}
"""
NOWHERE = "unix:///nonexistent/docker.sock"

Load = Callable[..., Config]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "MONGO_PORT"):
        monkeypatch.delenv(name, raising=False)

    def load(toml: str = "", compose: str = COMPOSE, dotenv: str = "", **environ: str) -> Config:
        (tmp_path / "mika.toml").write_text(toml)
        (tmp_path / "docker-compose.yml").write_text(compose)
        (tmp_path / ".env").write_text(dotenv)
        return config.load(tmp_path, environ={"MIKA_BACKEND": "embedded", **environ})

    return load


def made(settings: Config, *runs: str) -> Backend:
    entries = [Entry(f"p{number}", command, number + 1, number) for number, command in enumerate(runs)]
    return backends.make(settings, ProjectDir(settings.project), entries)[0]


def test_what_is_missing_where_it_is_expected_and_who_needs_it(loaded):
    backend = made(loaded(dotenv="MONGO_PORT=1\nDOCS=mongodb://localhost:1/x\nOTHER=http://localhost:2\n"))
    assert backend.name == "embedded"
    (concern,) = backend.concerns
    assert concern.text.startswith("mongo (127.0.0.1:1) is not started: ")
    assert concern.text.endswith("what needs it (DOCS) fails until it runs")
    assert concern.fix
    assert backend.left_out == (
        "docker-compose.yml: left out: temporal (mika runs Temporal itself); mail (its profile mail is not active);"
        " api (built from this project: the app)"
    )
    assert [unit.name for unit in backend.units()] == ["temporal", "temporal-ui"]
    assert backend.needed == ("temporal",)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (
            'services = ["mango"]',
            "mika.toml:1: docker-compose.yml has no service 'mango'; did you mean 'mongo'? (there",
        ),
        (
            '\nexclude = ["x"]',
            "mika.toml:2: docker-compose.yml has no service 'x' (there are: temporal, mongo, mail, api",
        ),
        ('services = "mongo"', "mika.toml:1: services is a string; give a list of service names"),
        ("exclude = [1]", "mika.toml:1: exclude has something that is not a name; give a list"),
    ],
)
def test_a_mistake_in_the_lists_is_one_line(loaded, toml, words):
    with pytest.raises(UsageError) as caught:
        made(loaded(toml))
    assert caught.value.message.startswith(words)


def test_names_without_a_compose_file_are_an_error(loaded):
    settings = loaded('services = ["mongo"]')
    (settings.project / "docker-compose.yml").unlink()
    with pytest.raises(UsageError, match=r"mika\.toml:1: services names services, and there is no compose file"):
        made(settings)


def test_mika_toml_counts_more_than_pyproject(loaded, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.mika]\nservices = ["mongo"]\nexclude = ["mail"]\n')
    names = loaded("services = []").names
    assert {key: (given.names, given.origin) for key, given in names.items()} == {
        "services": ((), "mika.toml:1"),
        "exclude": (("mail",), "pyproject.toml:3"),
    }


def test_a_broken_file_is_said_and_the_rest_starts(loaded):
    backend = made(loaded(compose="services:\n  a: [\n"))
    assert [unit.name for unit in backend.units()] == ["temporal", "temporal-ui"]
    (concern,) = backend.concerns
    assert concern.text.startswith("docker-compose.yml:3: not valid YAML")


@pytest.mark.parametrize(
    ("environ", "toml", "left_out"),
    [
        ({"MIKA_BACKEND": "none"}, "", {"temporal", "mongo", "mail", "api"}),
        ({"MIKA_BACKEND": "none"}, 'services = ["mongo"]', {"temporal", "mail", "api"}),
        ({"MIKA_BACKEND": "external"}, "", {"temporal", "mail", "api"}),
        ({"MIKA_BACKEND": "docker"}, "", {"mail", "api"}),
        ({"MIKA_BACKEND": "auto", "TEMPORAL_HOST": "t.example.com"}, "", {"temporal", "mail", "api"}),
        ({"MIKA_BACKEND": "embedded"}, 'services = ["mail"]', {"temporal", "mongo", "api"}),
        ({"MIKA_BACKEND": "embedded"}, 'exclude = ["mongo"]', {"temporal", "mongo", "mail", "api"}),
    ],
)
def test_the_plan_says_what_is_left_out(loaded, environ, toml, left_out):
    settings = loaded(toml, **environ)
    plan, _ = planned(settings, ProjectDir(settings.project), [])
    assert {name for name, _ in plan.choice.left_out} == left_out


def test_with_auto_the_plan_knows_both_ways(loaded):
    settings = loaded(MIKA_BACKEND="auto")
    plan, with_docker = planned(settings, ProjectDir(settings.project), [])
    assert plan.choice.started == ("mongo",)
    assert with_docker is not None
    assert with_docker.choice.started == ("temporal", "mongo")


def test_what_the_procfile_runs_is_not_started_twice(loaded):
    compose = "services: {jobs: {image: acme/jobs, command: python -m jobs.worker}, site: {image: acme/site}}"
    backend = made(loaded(compose=compose), "uv run python -m jobs.worker")
    assert backend.left_out == "docker-compose.yml: left out: jobs (`p0` is the same: the app)"
    assert backend.concerns[0].text.startswith("site (no port) is not started")


@pytest.mark.parametrize(
    ("need", "error"), [("mongo", ""), ("mango", "no process is named 'mango'; did you mean 'mongo'?")]
)
def test_needs_may_name_a_service_also_one_that_is_not_started(loaded, need, error):
    settings = loaded(f'[process.p]\nneeds = ["{need}"]\n')
    prepared = prepare(settings, ProjectDir(settings.project), [Entry("p", "python -V", 1, 0)])
    if error:
        with pytest.raises(UsageError, match=re.escape(error)):
            prepared.units([])
    else:
        assert prepared.units([])[-1].needs == ("mongo",)


def test_a_database_that_publishes_no_port_is_of_no_use(loaded):
    port = {"target": 6379, "published": "6379", "protocol": "tcp"}
    services: dict[str, dict[str, object]] = {
        "db": {"image": "mongo"},
        "cache": {"image": "redis", "ports": [port]},
        "thing": {"image": "acme/thing"},
    }
    services["init"] = {"image": "mongo", "restart": "no"}
    settings = loaded()
    file = parse({"services": services}, settings)
    (concern,) = concerns(settings, file, judged(settings, file.entries, []))
    assert concern.text == "db publishes no port, so nothing outside of compose can reach it"


def test_a_process_without_a_table_may_have_variables_too(loaded):
    """Where there is no Procfile, mika finds them in the project's sources."""
    port = {"target": 27017, "published": "27017", "protocol": "tcp"}
    settings = loaded()
    found = ProcessOptions(env={"DB": "mongodb://mongo:27017"})
    settings = replace(settings, processes={"web": found})
    file = parse({"services": {"mongo": {"image": "mongo", "ports": [port]}}}, settings)
    (concern,) = concerns(settings, file, [])
    assert concern.text == "web: DB names mongo:27017, an address that exists only inside compose"
