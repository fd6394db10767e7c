"""What engines, compose and containers say, and what mika makes of it. The texts are real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mika.backends.docker import explain
from mika.backends.docker.explain import Failure
from mika.backends.docker.monitor import ContainerSnapshot
from mika.containers.compose import config_error
from mika.reason import NONE, Reason, Repair

PORT_BY_PROGRAM = (
    "driver failed programming external connectivity on endpoint p-mongodb-1 (4f3c): Error starting userland proxy:"
    " listen tcp4 127.0.0.1:27017: bind: address already in use"
)
PORT_BY_CONTAINER = (
    "driver failed programming external connectivity on endpoint p-temporal-1 (1a): Bind for 127.0.0.1:7233 failed:"
    " port is already allocated"
)


def snapshot(**values: object) -> ContainerSnapshot:
    given = {"id": "1", "name": "p-temporal-1", "service": "temporal", "folder": "/p", "state": "exited"}
    return ContainerSnapshot(**{**given, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("container", "code", "words"),
    [
        (snapshot(), 137, "killed by SIGKILL (exit code 137)"),
        (snapshot(), 143, "killed by SIGTERM (exit code 143)"),
        (snapshot(), 3, "exit code 3"),
        (snapshot(oom=True, memory=60 << 20), 137, "its limit is 60 MB (mem_limit)"),
        (snapshot(oom=True), 137, "out of memory, killed by the kernel (exit code 137)"),
    ],
)
def test_exit_reason(container, code, words):
    assert words in explain.exit_reason(container, code)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('pq: password authentication failed for user "temporal" (28P01)', "the password of 'temporal'"),
        (
            "The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 16",
            "its volume was created by PostgreSQL 15, and this is 16: set POSTGRES_IMAGE=postgres:15 in .env",
        ),
        ("/bin/sh^M: bad interpreter: No such file or directory", "Windows line endings"),
        ("/mika/temporal-setup.sh: set: line 4: Illegal option -\r", "Windows line endings"),
        ("exec /usr/local/bin/x: exec format error", "another processor"),
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "disk of the Docker engine"),
    ],
)
def test_causes_that_stay(line, words):
    assert words in str(explain.lasting_cause(["LOG: before", line, "LOG: after"]))


def test_an_ordinary_last_line_is_no_cause():
    assert explain.lasting_cause(["database system is shut down"]) == NONE


def test_words_are_free_of_colours():
    assert explain.last_reason(["\x1b[31mERROR\x1b[0m no such thing"]) == Reason("ERROR no such thing")
    missing = 'relation "schema_version" does not exist'
    empty = f"unable to read DB schema version keyspace/database: temporal error: pq: {missing}"
    reason = explain.last_reason([empty, "Unable to create server"])
    assert reason == Reason("its database is empty", "`mika up` sets it up again", Repair("up"))
    assert missing in explain.last_reason([f"ERROR:  {missing} at character 43"]).text, (
        "PostgreSQL, asked by the set-up"
    )


@pytest.mark.parametrize(("text", "port"), [(PORT_BY_PROGRAM, 27017), (PORT_BY_CONTAINER, 7233), ("other", None)])
def test_port_of(text, port):
    assert explain.port_of(text) == port


def test_compose_failure_is_blamed_on_the_container_that_the_engine_refused():
    containers = [snapshot(state="running"), snapshot(service="mongodb", state="created", error=PORT_BY_PROGRAM)]
    assert explain.compose_failure("whatever", containers) == Failure("mongodb", Reason(PORT_BY_PROGRAM))


def test_compose_failure_of_a_one_shot_is_shown_by_itself():
    text = 'service "temporal-setup" didn\'t complete successfully: exit 1\n'
    found = explain.compose_failure(text, [])
    assert (found.service, found.is_shown_by_service) == ("temporal-setup", True)


def test_compose_failure_that_concerns_nobody_in_particular():
    text = " Network p_default Creating \n Network p_default Error\nError response from daemon: could not find an"
    text += " available, non-overlapping IPv4 address pool among the defaults to assign to the network\n"
    found = explain.compose_failure(text, [snapshot(state="running")])
    assert found.service == ""
    assert "docker network prune" in str(explain.engine_reason(found.reason.text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manifest for mongo:99 not found: manifest unknown: manifest unknown", "the tag does not exist"),
        ("toomanyrequests: You have reached your pull rate limit.", "429"),
        ("pull access denied for nobody/none, repository does not exist or may require 'docker login'", "docker login"),
        ('Get "https://x/v2/": dial tcp: lookup x on 8.8.8.8:53: no such host', "cannot be reached"),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "disk of the Docker engine is full"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "not built for this processor"),
    ],
)
def test_pull_failures(text, words):
    found = explain.pull_failure("mongo:99", text)
    assert found.text.startswith("the image mongo:99 could not be pulled: ")
    assert words in str(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "failed to parse /p/docker-compose.yml: go-yaml load error in parser (…) at L2.C6-L3.C3: did not find ','",
            "docker-compose.yml:2:6: did not find ','",
        ),
        (
            "validating /p/docker-compose.yml: services.a.nosuchkey false schema",
            "docker-compose.yml: services.a.nosuchkey: compose does not know this key",
        ),
        (
            'time="2026-01-01T00:00:00Z" level=warning msg="The X variable is not set"\nrequired variable P is missing',
            "compose.yml: required variable P is missing",
        ),
        (
            "go-yaml load error in parser (while parsing a flow mapping) at L2.C6-L3.C4: did not find expected ','",
            "compose.yml:2:6: did not find expected ','",
        ),
        ("", "compose.yml: compose rejects the file but does not say why"),
    ],
)
def test_config_error(text, line):
    project = Path("/p")
    assert config_error(text.replace("/p/", f"{project}{os.sep}"), project, "compose.yml") == line
