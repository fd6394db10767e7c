"""When a service in a container is usable: asked in its own protocol, as the bot will."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

from mika.address import reachable
from mika.backends.docker.explain import KEEP_DATA
from mika.backends.docker.services import Service, mongodb_url
from mika.errors import describe
from mika.readiness.ladder import NotYet
from mika.reason import Reason

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient

_SERVER_SELECTION_MS = 1500
_AUTHENTICATION_FAILED = 18
_PROTOCOL_3 = 196608
_STARTING_UP = ("57P03", "57P01", "57P02")  # cannot_connect_now, admin_shutdown, crash_shutdown


class HopelessError(NotYet):
    """Waiting is useless: the reason says why, and how to fix it."""


class MongoProbe:
    """`hello` and `ping` as the user that the bot gets. Belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        self._url = mongodb_url(service)
        self._user = service.environment.get("MONGO_INITDB_ROOT_USERNAME", "")
        self._client: AsyncMongoClient[dict[str, Any]] | None = None

    async def usable(self) -> str:
        """The server's version. Raises HopelessError when it refuses the user."""
        from pymongo import AsyncMongoClient
        from pymongo.errors import OperationFailure, PyMongoError

        if self._client is None:
            self._client = AsyncMongoClient(
                self._url, directConnection=True, serverSelectionTimeoutMS=_SERVER_SELECTION_MS, appname="mika"
            )
        try:
            hello = await self._client.admin.command("hello")
            await self._client.admin.command("ping")
        except OperationFailure as error:
            if error.code == _AUTHENTICATION_FAILED:
                text = f"MongoDB refuses the password of '{self._user}': its volume keeps the user it was made with"
                raise HopelessError(Reason(text, KEEP_DATA)) from None
            raise NotYet(describe(error)) from None
        except PyMongoError as error:
            # The rest of the text is a dump of the topology.
            text = describe(error).partition(", Timeout:")[0].partition(" (configured")[0]
            raise NotYet("connection refused" if "Connect call failed" in text else text) from None
        if not (hello.get("isWritablePrimary") or hello.get("ismaster")):
            raise NotYet("it is no primary yet")
        return "answers ping"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


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
