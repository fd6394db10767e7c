"""What each service of a compose file is, and which of them are started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mika.detect.compose import Runs, choose, essence, judge
from mika.detect.compose_text import ComposeText, load, refuse_bombs
from mika.errors import UsageError

from tests.kit.machine import cpu_limit


def loaded(folder: Path, text: str | bytes, name: str = "compose.yml", **env: str) -> ComposeText:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    file = load(folder, env)
    assert file is not None
    return file


@pytest.fixture
def kinds(tmp_path):
    def judged(text: str, *processes: Runs, used_ports: tuple[int, ...] = (), **env: str) -> dict[str, str]:
        file = loaded(tmp_path, text, **env)
        assert not file.error, file.error
        return {service.name: service.kind for service in judge(file.entries, processes, used_ports)}

    return judged


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        ("{image: temporalio/auto-setup:1.28}", "temporal"),
        ("{image: 'ghcr.io/mirror/temporalio/ui:2'}", "temporal"),
        ("{image: '${TEMPORAL_IMAGE:-temporalio/server:1.32.0}'}", "temporal"),
        ("{image: 'ours/server:1', ports: ['7233:7233']}", "temporal"),
        ("{image: mongo:7}", "infrastructure"),
        ("{image: 'docker.io/library/redis'}", "infrastructure"),
        ("{image: 'ours/db:1', ports: ['127.0.0.1:5433:5432']}", "infrastructure"),
        ("{image: 'ours/db:1', ports: [{target: 27017, published: '27018'}]}", "infrastructure"),
        ("{image: 'acme/thing:1'}", "infrastructure"),
        ("{build: .}", "app"),
        ("{build: {context: .}, image: 'mongo-app:1'}", "app"),
        ("{image: 'python:3.12', command: python app.py}", "app"),
    ],
)
def test_by_image_and_port(kinds, service, kind):
    assert kinds(f"services: {{it: {service}}}") == {"it": kind}


def test_what_only_temporal_uses_is_temporals(kinds):
    text = """
services:
  temporal:
    image: temporalio/auto-setup
    depends_on: {db: {condition: service_healthy}}
    environment: [ES_SEEDS=elasticsearch]
  db: {image: postgres, depends_on: [db-init]}
  db-init: {image: busybox}
  elasticsearch: {image: elasticsearch}
  cache: {image: redis}
  app: {build: ., depends_on: [cache]}
  temporal-postgres: {image: postgres}
  search: {image: elasticsearch}
"""
    assert kinds(text) == {
        "temporal": "temporal",
        "db": "temporal",
        "db-init": "temporal",
        "elasticsearch": "temporal",
        "cache": "infrastructure",
        "app": "app",
        "temporal-postgres": "temporal",
        "search": "infrastructure",
    }


SHARED = """
services:
  temporal: {image: temporalio/server, depends_on: [db]}
  db: {image: postgres, ports: ['5433:5432']}
  api: {image: acme/api, environment: {DATABASE_URL: '%s'}}
"""


def test_a_database_that_the_app_uses_as_well_is_started(kinds):
    assert kinds(SHARED % "")["db"] == "temporal"
    assert kinds(SHARED % "", used_ports=(5433,))["db"] == "infrastructure"
    assert kinds(SHARED % "postgres://u:p@db:5432/x")["db"] == "infrastructure"


def test_the_app_is_what_mika_runs_or_what_needs_temporal(kinds):
    text = """
services:
  api: {build: ., image: acme/app}
  worker: {image: acme/app}
  temporal: {image: temporalio/server}
  bot: {image: 'acme/bot:1', depends_on: [temporal]}
  jobs: {image: 'acme/jobs:1', command: [python, -m, jobs.worker, --verbose]}
  site: {image: 'acme/site:1', ports: ['8000:80']}
  redis: {image: redis}
  otel: {image: otel/collector, depends_on: [temporal]}
  proxy: {image: nginx}
"""
    runs = (
        Runs("j", "poetry run python -m jobs.worker"),
        Runs("web", "uvicorn a:b", 8000),
        Runs("redis", "redis-server"),
    )
    assert {name for name, kind in kinds(text, *runs).items() if kind == "infrastructure"} == {"otel"}
    assert {name for name, kind in kinds(text).items() if kind == "infrastructure"} == {"otel", "jobs", "site", "redis"}


def test_a_helper_of_infrastructure_is_started_with_it(kinds):
    text = "services: {db: {image: postgres, depends_on: [chown]}, chown: {image: busybox}, x: {image: busybox}}"
    assert kinds(text) == {"db": "infrastructure", "chown": "infrastructure", "x": "app"}


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("python -m uvicorn app.main:app --port 8000", "uvicorn app.main:app"),
        ("uvicorn --host 0.0.0.0 app.main:app", "uvicorn app.main:app"),
        ("/usr/bin/python3 -u worker.py --queue x", "python worker.py"),
        ("poetry run python -m bot.worker", "python bot.worker"),
        ('sh -c "alembic upgrade head && uvicorn app:app"', "uvicorn app:app"),
        (r"A=1 .venv\Scripts\python.exe worker.py", "python worker.py"),
        ("mongod", ""),
        ("", ""),
    ],
)
def test_what_a_command_runs(command, what):
    assert essence(command) == what


def test_merged_keys_count_and_own_ones_win(kinds):
    text = """
x-base: &base {image: redis, ports: ['6379:6379']}
services:
  a: *base
  b: {<<: *base, image: python, ports: []}
  c: {<<: [*base]}
"""
    assert kinds(text) == {"a": "infrastructure", "b": "app", "c": "infrastructure"}


def test_what_compose_puts_together(tmp_path, kinds):
    (tmp_path / "base.yml").write_text("services: {db: {image: mongo, ports: ['1:27017']}, up: {extends: up}}\n")
    (tmp_path / "more.yml").write_text("services: {cache: {image: redis}}\n")
    (tmp_path / "compose.override.yml").write_text("services: {a: {build: .}, d: {ports: ['2:5432']}}\n")
    text = """
include: [more.yml]
services:
  a: {image: acme}
  b: {extends: {service: db, file: base.yml}}
  c: {extends: b}
  d: {image: '${NOT_SET:-python}'}
  e: {extends: {service: up, file: base.yml}, image: "${IMAGE:-${OTHER:-redis}}"}
"""
    assert kinds(text) == {
        "cache": "infrastructure",
        "a": "app",
        "b": "infrastructure",
        "c": "infrastructure",
        "d": "infrastructure",
        "e": "infrastructure",
    }
    assert kinds(text, IMAGE="python")["e"] == "app"


def test_profiles_and_scale(tmp_path):
    text = "services: {a: {image: redis, profiles: [x, y]}, b: {image: redis, scale: 0}, c: {image: redis}}"
    why = {entry.name: entry.off for entry in loaded(tmp_path, text).entries}
    assert why == {"a": "its profile x is not active", "b": "scale is 0", "c": ""}
    assert not loaded(tmp_path, text, COMPOSE_PROFILES="z, y").entries[0].off


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"services:\n  a: [\n  b: c:\n", "compose.yml:3: not valid YAML"),
        (b"a: {b: *nothing}", "compose.yml:1: not valid YAML"),
        (b"services:\n\tweb: 1", "compose.yml:2: not valid YAML"),
        (b"a: " + b"[" * 400_000, "compose.yml:1: not valid YAML"),
        (b"a: \xff\xfe", "compose.yml: not valid YAML"),
        (b"\0", "compose.yml: not valid YAML"),
        (b"services: {a: {extends: {service: b, file: gone.yml}}}", "compose.yml: cannot be read: No such file"),
        (b"include: [.]", "compose.yml: cannot be read: "),
    ],
    ids=range(8),
)
def test_an_error_is_one_line_with_the_place(tmp_path, source, error):
    found = loaded(tmp_path, source).error
    assert found.startswith(error), found
    assert "\n" not in found


@pytest.mark.parametrize("text", ["", "- a", "services:", "services: [a]", "services: {a: }", "services: {a: b}", "1"])
def test_what_is_no_compose_file_is_no_error(kinds, text):
    assert set(kinds(text)) <= {"a"}


BOMBS = {
    "merged": [
        "x0: &x0 {a: 1}",
        *(f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 20)}]}}" for n in range(1, 40)),
        "services: {a: {<<: *x39, image: redis}}",
    ],
    "a list": [
        f"x0: &x0 [{','.join('a' * 10)}]",
        *(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)),
        "services: {a: {image: redis}}",
    ],
    "itself": ["x: &x [*x]", "services: {a: {image: redis}}"],
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_anchors_costs_nothing_and_compose_does_not_get_it(tmp_path, bomb):
    with cpu_limit(5):
        assert "compose.yml:" in loaded(tmp_path, "\n".join(BOMBS[bomb])).error
        with pytest.raises(UsageError, match=r"compose.yml:\d: its aliases .* more than 200000 values"):
            refuse_bombs(tmp_path, {})


def test_the_file_that_compose_would_take(tmp_path):
    def path() -> str:
        file = load(tmp_path, {})
        return file.path if file is not None else ""

    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yml").write_text("services: {}\n")
    assert not path()
    (tmp_path / "Docker-Compose.yml").write_text("services: {}\n")
    assert path().lower() == "docker-compose.yml"
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    assert path() == "compose.yaml"
    (tmp_path / "a.yml").write_text("services: {a: {image: redis}}\n")
    file = load(tmp_path, {"COMPOSE_FILE": "a.yml:deploy/compose.yml", "COMPOSE_PATH_SEPARATOR": ":"})
    assert file is not None
    assert (file.path, [entry.name for entry in file.entries]) == ("a.yml:deploy/compose.yml", ["a"])


@pytest.mark.skipif(sys.platform == "win32", reason="its files are the same whatever their case")
def test_compose_is_told_of_a_name_in_another_case(tmp_path):
    from mika.config.compose_file import environment

    (tmp_path / "Docker-Compose.yml").write_text("services: {}\n")
    (tmp_path / "compose.override.yml").write_text("services: {}\n")
    assert environment(tmp_path, {})["COMPOSE_FILE"] == "Docker-Compose.yml:compose.override.yml"


PROJECT = """
services:
  temporal: {image: temporalio/server}
  mongo: {image: mongo}
  init: {image: 'acme/init', depends_on: [mongo]}
  api: {build: ., depends_on: [mongo]}
  extra: {image: redis, profiles: [extra]}
"""


@pytest.mark.parametrize(
    ("backend", "named", "excluded", "optional", "started"),
    [
        ("embedded", None, [], [], ["mongo", "init"]),
        ("external", None, [], [], ["mongo", "init"]),
        ("docker", None, [], [], ["temporal", "mongo", "init"]),
        ("docker", [], [], [], ["temporal"]),
        ("docker", None, ["temporal"], [], ["mongo", "init"]),
        ("embedded", None, ["init"], [], ["mongo"]),
        ("embedded", [], [], [], []),
        ("embedded", ["api"], [], [], ["mongo", "api"]),
        ("embedded", ["extra"], [], [], ["extra"]),
        ("embedded", None, [], ["mongo"], ["init"]),
        ("docker", None, [], ["mongo"], ["temporal", "mongo", "init"]),
    ],
)
def test_which_services_are_started(tmp_path, backend, named, excluded, optional, started):
    services = judge(loaded(tmp_path, PROJECT).entries)
    choice = choose(services, backend, named=named, excluded=excluded, optional=optional)
    assert list(choice.started) == started
    assert sorted([*started, *(name for name, _ in choice.left_out)]) == sorted(service.name for service in services)


def test_what_is_left_out_is_one_line(tmp_path):
    choice = choose(judge(loaded(tmp_path, PROJECT).entries), "embedded", named=None, excluded=["init"])
    assert choice.describe() == (
        "temporal (mika runs Temporal itself); init (excluded); api (built from this project: the app);"
        " extra (its profile extra is not active)"
    )
