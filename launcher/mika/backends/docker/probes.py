"""Checks whether a service in a container is usable, in its own protocol, like the bot."""

from __future__ import annotations

import asyncio
import struct

from mika.address import reachable
from mika.backends.docker.explain import KEEP_DATA
from mika.backends.docker.services import Service
from mika.readiness import mongodb
from mika.readiness.ladder import NotYet
from mika.reason import Reason
from mika.wording import _

_PROTOCOL_3 = 196608
_STARTING_UP = ("57P03", "57P01", "57P02")  # cannot_connect_now, admin_shutdown, crash_shutdown


class HopelessError(NotYet):
    """Waiting longer would not help. The reason says why, and how to fix it."""


class MongoProbe:
    """Logs in as the bot's user, and asks whether the server is ready. Must be used in a single event loop."""

    def __init__(self, service: Service) -> None:
        port = service.port(mongodb.PORT)
        assert port is not None  # noqa: S101 - the role is given by this port
        self._host, self._port = reachable(port.host), port.published
        self._user = service.environment.get("MONGO_INITDB_ROOT_USERNAME", "")
        self._password = service.environment.get("MONGO_INITDB_ROOT_PASSWORD", "")
        self._connection: mongodb.Connection | None = None

    async def usable(self) -> str:
        """A detail for people. Raises NotYet, or HopelessError if the server refuses the user."""
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
                text = _(
                    "MongoDB refuses the password of '{user}': its volume keeps the user that it was created with",
                    user=self._user,
                )
                raise HopelessError(Reason(text, KEEP_DATA)) from None
            raise NotYet(error.args[0]) from None  # str() would forget how to translate it
        except BaseException:  # also a cancellation: an answer may have been read in part
            self.close()
            raise
        if not (hello.get("isWritablePrimary") or hello.get("ismaster")):
            raise NotYet(_("it is not a primary yet"))
        return _("answers ping")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def postgresql(service: Service) -> str:
    """Check whether PostgreSQL accepts sessions: while it starts or stops, it answers with an error.

    Stops at the request for the password, so it does not need one. Raises NotYet.
    """
    port = service.port(5432)
    assert port is not None  # noqa: S101 - the role is given by this port
    user = service.environment.get("POSTGRES_USER", "postgres")
    database = service.environment.get("POSTGRES_DB", user)
    parameters = b"\0".join(text.encode() for text in ("user", user, "database", database)) + b"\0\0"
    reader, writer = await asyncio.open_connection(reachable(port.host), port.published)
    try:
        writer.write(struct.pack(">II", 8 + len(parameters), _PROTOCOL_3) + parameters)
        head = await reader.readexactly(5)
        if head[:1] == b"E":
            body = await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
            fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
            if fields.get(b"C") in _STARTING_UP:
                raise NotYet(fields.get(b"M", _("it is starting")))
    except asyncio.IncompleteReadError:
        raise NotYet(_("it accepts connections, but closes them at once")) from None
    finally:
        writer.close()
    return _("accepts connections")
