"""What the launcher asks of MongoDB without a driver, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pymongo
import pytest
from mika.backends.docker.probes import HopelessError, MongoProbe
from mika.backends.docker.services import Port, Service
from mika.readiness import mongodb
from mika.readiness.ladder import NotYet
from mika.readiness.mongodb import AUTHENTICATION_FAILED, Connection, MongoError

from tests.kit import mongo_server

USER, PASSWORD = "mikä", "p@ss/wörd ½"
OLD_USER = "old"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that asks for a login."""
    mongo_server.need_mongo()
    with mongo_server.mongo_server(USER, PASSWORD) as url:
        with pymongo.MongoClient[dict[str, object]](url, username=USER, password=PASSWORD) as client:
            client.admin.command("createUser", OLD_USER, pwd=PASSWORD, roles=[], mechanisms=["SCRAM-SHA-1"])
        number = urlsplit(url).port
        assert number is not None
        yield number


def test_it_answers(port):
    assert asyncio.run(mongodb.why_silent("127.0.0.1", port)) == ""
    assert asyncio.run(mongodb.why_silent("localhost", port)) == "", "which may be ::1 first, where nobody listens"


@pytest.mark.parametrize("user", [USER, OLD_USER])
def test_the_right_password(port, user):
    async def main() -> dict[str, object]:
        connection = await Connection.open("127.0.0.1", port)
        try:
            with pytest.raises(MongoError):
                await connection.command({"listDatabases": 1})
            await connection.log_in(user, PASSWORD)
            return await connection.command({"listDatabases": 1})
        finally:
            connection.close()

    assert "databases" in asyncio.run(main())


@pytest.mark.parametrize(("user", "password"), [(USER, "another"), (OLD_USER, "another"), ("nobody", PASSWORD)])
def test_another_password(port, user, password):
    async def main() -> None:
        connection = await Connection.open("127.0.0.1", port)
        try:
            await connection.log_in(user, password)
        finally:
            connection.close()

    with pytest.raises(MongoError) as caught:
        asyncio.run(main())
    assert caught.value.code == AUTHENTICATION_FAILED
    assert password not in str(caught.value)


# --- the container's readiness ----------------------------------------------------------------------------------------


def service(port: int, password: str) -> Service:
    return Service(
        name="mongodb",
        image="",
        platform=None,
        is_built=False,
        may_pull=False,
        ports=(Port("0.0.0.0", port, mongodb.PORT),),
        needs=(),
        one_shot=False,
        may_exit=False,
        has_health_check=False,
        grace=10.0,
        environment={"MONGO_INITDB_ROOT_USERNAME": USER, "MONGO_INITDB_ROOT_PASSWORD": password},
        mounts=(),
        role="mongodb",
    )


def test_a_container_is_usable_with_its_own_password(port):
    async def main() -> list[str]:
        probe = MongoProbe(service(port, PASSWORD))
        try:
            return [await probe.usable(), await probe.usable()]
        finally:
            probe.close()

    assert asyncio.run(main()) == ["answers ping"] * 2


def test_a_volume_with_another_password_is_named(port):
    with pytest.raises(HopelessError, match="refuses the password of 'mikä': its volume keeps the user"):
        asyncio.run(MongoProbe(service(port, "another")).usable())


def test_a_container_that_has_gone_is_not_usable():
    mongo_server.need_mongo()

    async def main(url: str) -> None:
        probe = MongoProbe(service(urlsplit(url).port or 0, PASSWORD))
        try:
            assert await probe.usable() == "answers ping"
            stop.close()
            for _ in range(2):
                with pytest.raises((NotYet, OSError)):
                    await probe.usable()
        finally:
            probe.close()

    with contextlib.ExitStack() as stop:
        asyncio.run(main(stop.enter_context(mongo_server.mongo_server(USER, PASSWORD))))
