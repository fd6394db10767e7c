"""What each service of a compose file is."""

from __future__ import annotations

import time

import pytest
from mika.detect.compose import ComposeFile, classify, find
from mika.detect.files import Files


def kinds(text: str) -> dict[str, str]:
    file = classify("compose.yml", text.encode())
    assert not file.error, file.error
    return {service.name: service.kind for service in file.services}


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        ("{image: temporalio/auto-setup:1.28}", "temporal"),
        ("{image: 'ghcr.io/mirror/temporalio/ui:2'}", "temporal"),
        ("{image: '${TEMPORAL_IMAGE:-temporalio/server:1.32.0}'}", "temporal"),
        ("{image: mongo:7}", "infrastructure"),
        ("{image: 'docker.io/library/redis'}", "infrastructure"),
        ("{image: 'ours/db:1', ports: ['127.0.0.1:5433:5432']}", "infrastructure"),
        ("{image: 'ours/db:1', ports: [{target: 27017, published: '27018'}]}", "infrastructure"),
        ("{build: .}", "app"),
        ("{build: {context: .}, image: 'mongo-app:1'}", "app"),
        ("{image: 'python:3.12', command: python app.py}", "app"),
        ("{image: 'acme/thing:1'}", "unknown"),
        ("{image: '${NOT_SET}'}", "unknown"),
        ("{image: '${NOT_SET:?must be set}', ports: ['${PORT}:5432']}", "infrastructure"),
        ("{extends: {file: base.yml, service: it}, profiles: [full]}", "unknown"),
    ],
)
def test_by_image_and_port(service, kind):
    assert kinds(f"services: {{it: {service}}}") == {"it": kind}


def test_a_database_that_only_temporal_uses_is_temporals():
    text = """
services:
  temporal: {image: temporalio/auto-setup, depends_on: {db: {condition: service_healthy}}}
  db: {image: postgres}
  elasticsearch: {image: elasticsearch}
  cache: {image: redis}
  app: {build: ., depends_on: [cache]}
  temporal-postgres: {image: postgres}
"""
    assert kinds(text) == {
        "temporal": "temporal",
        "db": "temporal",
        "elasticsearch": "infrastructure",
        "cache": "infrastructure",
        "app": "app",
        "temporal-postgres": "temporal",
    }


def test_merged_keys_count_and_own_ones_win():
    text = """
x-base: &base {image: redis, ports: ['6379:6379']}
services:
  a: *base
  b: {<<: *base, image: acme/b, ports: []}
  c: {<<: [*base]}
"""
    assert kinds(text) == {"a": "infrastructure", "b": "unknown", "c": "infrastructure"}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"services:\n  a: [\n  b: c:\n", "compose.yml:3: not valid YAML"),
        (b"a: {b: *nothing}", "compose.yml:1: not valid YAML"),
        (b"services:\n\tweb: 1", "compose.yml:2: not valid YAML"),
        (b"a: " + b"[" * 400_000, "compose.yml:1: not valid YAML"),
        (b"a: \xff\xfe", "compose.yml: not valid YAML"),
        (b"\0", "compose.yml: not valid YAML"),
    ],
    ids=range(6),
)
def test_an_error_is_one_line_with_the_place(source, error):
    file = classify("compose.yml", source)
    assert file.error.startswith(error)
    assert "\n" not in file.error


@pytest.mark.parametrize("text", ["", "- a", "services:", "services: [a]", "services: {a: }", "services: {a: b}", "1"])
def test_what_is_no_compose_file_has_no_services_that_matter(text):
    assert set(kinds(text).values()) <= {"app"}


def test_a_bomb_of_anchors_costs_nothing():
    lines = ["x0: &x0 {a: 1}"]
    lines += [f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 20)}]}}" for n in range(1, 40)]
    began = time.monotonic()
    assert kinds("\n".join([*lines, "services: {a: {<<: *x39, image: redis}}"])) == {"a": "infrastructure"}
    assert time.monotonic() - began < 5


def test_the_file_that_compose_would_take(tmp_path):
    for name in ("docker-compose.yml", "compose.yaml", "deploy/compose.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("services: {}\n")
    assert find(Files(tmp_path)) == ComposeFile("compose.yaml")
    for name in ("docker-compose.yml", "compose.yaml"):
        (tmp_path / name).unlink()
    assert find(Files(tmp_path)) == ComposeFile("deploy/compose.yml")
