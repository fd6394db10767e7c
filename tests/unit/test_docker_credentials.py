"""Do the addresses in `.env` fit what the compose file gives its databases? What is said, and never a password."""

from __future__ import annotations

from typing import Any

import pytest
from mika.backends.docker import services
from mika.backends.docker.credentials import Variable, differences
from mika.config import load as config

SECRET = "s3cr/et@"


def service(image: str, published: int, target: int, **environment: str) -> dict[str, Any]:
    port = {"host_ip": "127.0.0.1", "published": str(published), "target": target, "protocol": "tcp"}
    return {"image": image, "ports": [port], "environment": environment}


MONGO = service("mongo", 27018, 27017, MONGO_INITDB_ROOT_USERNAME="root", MONGO_INITDB_ROOT_PASSWORD=SECRET)
SQL = service("postgres", 5432, 5432, POSTGRES_PASSWORD=SECRET, POSTGRES_DB="app")
RIGHT = "s3cr%2Fet%40"


@pytest.fixture
def said(tmp_path):
    def find(address: str, **entries: Any) -> list[str]:
        entries = entries or {"mongo": MONGO, "sql": SQL, "cache": service("redis", 6379, 6379)}
        file = services.parse({"services": entries}, config.load(tmp_path, environ={}))
        found = list(map(str, differences(file.services, {"X": Variable("DOCS", address, ".env:3")})))
        assert not any(SECRET in text or RIGHT in text or "wrong" in text for text in found)
        return found

    return find


@pytest.mark.parametrize(
    "address",
    [
        f"mongodb://root:{RIGHT}@localhost:27018/?authSource=admin",
        f"mongodb://root:{RIGHT}@127.0.0.1:27018",
        f"postgresql+asyncpg://postgres:{RIGHT}@localhost/app",
        f"postgres://postgres:{RIGHT}@[::1]:5432/app?sslmode=disable",
        "redis://localhost:6379/0",
        "redis://:any@localhost:6379/0",
        "mongodb://root:wrong@db.example.com:27018/app",
        "http://localhost:27018",
        "localhost:27018",
        "mongodb://",
        "",
    ],
)
def test_what_fits_or_is_somewhere_else(said, address):
    assert said(address) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "mongodb://root:wrong@localhost:27018/",
            "another password than compose gives mongo (MONGO_INITDB_ROOT_PASSWORD)",
        ),
        ("mongodb://root@localhost:27018/", "another password than compose gives mongo"),
        ("mongodb://localhost:27018/app", "has no login, and compose gives mongo the user 'root': add root:PASSWORD@"),
        ("mongodb://app:wrong@localhost:27018/", "logs in as 'app', and compose gives mongo the user 'root'"),
        (f"mongodb://root:{RIGHT}@localhost:27018/app", "makes that user in admin: add ?authSource=admin"),
        (f"mongodb://root:{RIGHT}@localhost:27018/app?w=1", "add &authSource=admin"),
        ("mongodb://root:wrong@localhost/", "has port 27017, and compose publishes mongo at port 27018"),
        ("mongodb://mongo:27017/", "an address that exists only inside compose: from here it is 127.0.0.1:27018"),
        ("postgresql+psycopg://postgres:wrong@localhost:5432/app", "another password than compose gives sql"),
        ("postgres://me:wrong@127.0.0.1/app", "logs in as 'me', and compose gives sql the user 'postgres'"),
        ("redis://cache:6379", "an address that exists only inside compose: from here it is 127.0.0.1:6379"),
    ],
)
def test_what_differs(said, address, words):
    (text,) = said(address)
    assert text.startswith(".env:3: DOCS ")
    assert words in text


@pytest.mark.parametrize(
    ("address", "entry"),
    [
        ("postgres://me:x@localhost/app", {**SQL, "environment": {"POSTGRES_PASSWORD_FILE": "/run/secrets/p"}}),
        (
            "postgres://postgres@localhost/app",
            {**SQL, "environment": {"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_PASSWORD": "x"}},
        ),
        (
            "postgres://me:x@localhost/app",
            {**SQL, "volumes": [{"type": "bind", "source": "/x", "target": "/docker-entrypoint-initdb.d/a.sql"}]},
        ),
        ("amqp://guest:guest@localhost:5672", service("rabbitmq", 5672, 5672)),
        ("mysql://root:x@localhost/app", service("mysql", 3306, 3306, MYSQL_ROOT_PASSWORD="x", MYSQL_USER="app")),
    ],
    ids=range(5),
)
def test_nothing_is_said_of_what_is_not_known(said, address, entry):
    assert said(address, it=entry) == []


def test_a_user_that_the_database_does_not_have(said):
    bare = service("mongo", 27017, 27017)
    assert said("mongodb://localhost:27017/app", mongo=bare) == []
    assert "logs in as 'root', and compose gives mongo no user" in said("mongodb://root:x@localhost/", mongo=bare)[0]
