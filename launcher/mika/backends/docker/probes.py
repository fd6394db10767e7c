"""When a service in a container is usable: asked in its own protocol, as the bot will."""

from __future__ import annotations

import asyncio
import struct

from mika.address import reachable
from mika.backends.docker.explain import KEEP_DATA
from mika.backends.docker.services import Service
from mika.readiness import mongodb
from mika.readiness.ladder import NotYet
from mika.reason import Reason

_PROTOCOL_3 = 196608
_STARTING_UP = ("57P03", "57P01", "57P02")  # cannot_connect_now, admin_shutdown, crash_shutdown


class HopelessError(NotYet):
    """Waiting is useless: the reason says why, and how to fix it."""


class MongoProbe:
    """Logs in as the user that the bot gets, and asks whether the server is ready. Belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        port = service.port(mongodb.PORT)
        assert port is not None  # noqa: S101 - this is how the role was given
        self._host, self._port = reachable(port.host), port.published
        self._user = service.environment.get("MONGO_INITDB_ROOT_USERNAME", "")
        self._password = service.environment.get("MONGO_INITDB_ROOT_PASSWORD", "")
        self._connection: mongodb.Connection | None = None

    async def usable(self) -> str:
        """What it does. Raises HopelessError when the server refuses the user."""
        try:
            if self._connection is None:
                self._connection = await mongodb.Connection.open(self._host, self._port)
                if self._user:
                    await self._connection.log_in(self._user, self._password)
            hello = await self._connection.command({"hello": 1})
            await self._connection.command({"ping": 1})
        except mongodb.MongoError as error:
            self.close()
            if error.code == mongodb.AUTHENTICATION_FAILED:
                text = f"MongoDB refuses the password of '{self._user}': its volume keeps the user it was made with"
                raise HopelessError(Reason(text, KEEP_DATA)) from None
            raise NotYet(str(error)) from None
        except BaseException:  # a cancellation, too: an answer may be half read
            self.close()
            raise
        if not (hello.get("isWritablePrimary") or hello.get("ismaster")):
            raise NotYet("it is not a primary yet")
        return "answers ping"

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def postgresql(service: Service) -> str:
    """Whether it takes sessions: while it starts or stops, it refuses them in so many words.

    Goes as far as its question for the password, so it needs none.
    """
    port = service.port(5432)
    assert port is not None  # noqa: S101 - this is how the role was given
    user = service.environment.get("POSTGRES_USER", "postgres")
    database = service.environment.get("POSTGRES_DB", user)
    words = b"\0".join(word.encode() for word in ("user", user, "database", database)) + b"\0\0"
    reader, writer = await asyncio.open_connection(reachable(port.host), port.published)
    try:
        writer.write(struct.pack(">II", 8 + len(words), _PROTOCOL_3) + words)
        head = await reader.readexactly(5)
        if head[:1] == b"E":
            body = await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
            fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
            if fields.get(b"C") in _STARTING_UP:
                raise NotYet(fields.get(b"M", "it is starting"))
    except asyncio.IncompleteReadError:
        raise NotYet("it accepts and closes at once") from None
    finally:
        writer.close()
    return "accepts connections"
