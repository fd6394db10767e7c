"""History in MongoDB, through PyMongo's own async API (Motor has reached its end of life)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import pymongo
import structlog
from mika.diagnosis.wording import _
from pymongo import DESCENDING, AsyncMongoClient
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from src.history.base import (
    OTHER_KEY,
    REMEMBERED_CHARACTERS,
    REMEMBERED_TURNS,
    HistoryError,
    SendMark,
    StoredTurn,
)
from src.history.keys import KeyFile, Names, earlier_name
from src.messages import Conversation, FinishedTurn, Turn

log = structlog.get_logger("mika.history")

# Shorter than an activity's timeout, so that the error says "no server" and not "timed out".
_PATIENCE_MS = 2000
_PING_SECONDS = 1.5  # shorter than the timeout of `/readyz`, for the same reason
_DENIED = {13, 18}  # Unauthorized, AuthenticationFailed


class MongoHistory:
    """One document per turn; `_id` is the workflow's id. Must be used in the event loop that first uses it."""

    def __init__(
        self, url: str, database: str, key: KeyFile, retention: timedelta, marks_at_least: timedelta = timedelta()
    ) -> None:
        """Does not connect yet. Raises `HistoryError` if the URL is not valid.

        `retention`: of turns, and of marks, which are kept for `marks_at_least`.
        """
        try:
            self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                url,
                appname="mika",
                tz_aware=True,
                serverSelectionTimeoutMS=_PATIENCE_MS,
                connectTimeoutMS=_PATIENCE_MS,
                timeoutMS=2 * _PATIENCE_MS,
            )
            self._turns = self._client[database]["turns"]
            self._sends = self._client[database]["sends"]
            self._keys = self._client[database]["keys"]
        except (PyMongoError, ValueError) as error:
            raise HistoryError(_("MONGODB_URL or MONGODB_DATABASE cannot be used: {error}", error=error)) from None
        self._key = key
        self._retention = retention
        self._keeps_marks = max(retention, marks_at_least)
        self._is_key_stored = False
        self._database = database
        self._hosts = urlsplit(url).netloc.rpartition("@")[2]
        self._indexes_made = False
        self._making_indexes = asyncio.Lock()

    @property
    def facts(self) -> dict[str, str]:
        return {"kind": "mongodb", "address": self._hosts, "database": self._database}

    async def recent(self, conversation: Conversation, *, before: str) -> list[Turn]:
        names = self._key.names()
        try:
            await self._make_indexes()
            await self._rename(names, conversation)
            # The server deletes expired turns at most once a minute, so the query excludes them.
            query = {
                "conversation": names.conversation(conversation),
                "_id": {"$ne": before},
                "created_at": {"$gt": datetime.now(UTC) - self._retention},
            }
            cursor = self._turns.find(query).sort("created_at", DESCENDING).limit(REMEMBERED_TURNS)
            turns = await cursor.to_list()
        except PyMongoError as error:
            raise _history_error(error) from error
        return [
            Turn(str(turn["message"])[:REMEMBERED_CHARACTERS], str(turn["reply"])[:REMEMBERED_CHARACTERS])
            for turn in reversed(turns)
        ]

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        names, conversation = self._key.names(), turn.conversation
        created_at = datetime.fromtimestamp(turn.created_at, UTC)
        insert_only = {
            "conversation": names.conversation(conversation),
            "user": names.user(conversation.user_id),
            "message": turn.message,
            "created_at": created_at,
            "expires_at": created_at + self._retention,
        }
        change = {"$set": {"reply": turn.reply}, "$setOnInsert": insert_only}
        try:
            await self._make_indexes()
            await self._store_key(names)
            try:
                await self._turns.update_one({"_id": workflow_id}, change, upsert=True)
            except DuplicateKeyError:
                # Two upserts of the same id at once: the second one now finds the document, and updates it.
                await self._turns.update_one({"_id": workflow_id}, change)
        except PyMongoError as error:
            raise _history_error(error) from error

    async def of_user(self, user_id: str, group_id: str | None) -> list[StoredTurn]:
        private = self._key.names().conversation(Conversation(user_id, ""))
        try:
            turns = await self._turns.find(await self._selection(user_id, group_id)).sort("created_at", 1).to_list()
        except PyMongoError as error:
            raise _history_error(error) from error
        return [
            StoredTurn(
                str(turn["message"]),
                str(turn["reply"]),
                turn["created_at"].timestamp(),
                is_private=turn["conversation"] == private,
            )
            for turn in turns
        ]

    async def forget(self, user_id: str, group_id: str | None) -> int:
        try:
            return (await self._turns.delete_many(await self._selection(user_id, group_id))).deleted_count
        except PyMongoError as error:
            raise _history_error(error) from error

    async def _selection(self, user_id: str, group_id: str | None) -> dict[str, str]:
        """A query. Raises `HistoryError` if the turns were written with another key."""
        names = self._key.names()
        stored = await self._keys.find_one({})
        if stored and stored["_id"] != names.of_key():
            raise HistoryError(OTHER_KEY)
        conversation = Conversation(user_id, group_id or "")
        await self._rename(names, conversation)
        return {"user": names.user(user_id)} if group_id is None else {"conversation": names.conversation(conversation)}

    async def _rename(self, names: Names, conversation: Conversation) -> None:
        """Give the turns that were stored before there was a key the name that they would have now."""
        earlier = {"conversation": earlier_name(conversation)}
        if await self._turns.find_one(earlier, {"_id": 1}):
            now = {"conversation": names.conversation(conversation), "user": names.user(conversation.user_id)}
            await self._turns.update_many(earlier, {"$set": now})

    async def _store_key(self, names: Names) -> None:
        """Once. Whoever writes decides which key is the right one."""
        if self._is_key_stored:
            return
        own = names.of_key()
        if (await self._keys.delete_many({"_id": {"$ne": own}})).deleted_count:
            log.warning("history_key_changed", hint="earlier conversations are not found any more")
        await self._keys.update_one({"_id": own}, {"$setOnInsert": {"_id": own}}, upsert=True)
        self._is_key_stored = True

    async def mark_send(self, workflow_id: str, part: int, mark: SendMark) -> SendMark | None:
        now = datetime.now(UTC)
        send = {
            "_id": _send_id(workflow_id, part),
            "mark": mark.value,
            "expires_at": now + self._keeps_marks,
        }
        try:
            await self._make_indexes()
            while True:
                try:
                    await self._sends.insert_one(send)
                except DuplicateKeyError:
                    found = await self.find_mark(workflow_id, part)
                    if found is not None:  # or else it has just been removed
                        return found
                else:
                    return None
        except PyMongoError as error:
            raise _history_error(error) from error

    async def find_mark(self, workflow_id: str, part: int) -> SendMark | None:
        try:
            found = await self._sends.find_one({"_id": _send_id(workflow_id, part)})
        except PyMongoError as error:
            raise _history_error(error) from error
        return SendMark(found["mark"]) if found else None

    async def change_mark(self, workflow_id: str, part: int, mark: SendMark) -> None:
        try:
            await self._sends.update_one({"_id": _send_id(workflow_id, part)}, {"$set": {"mark": mark.value}})
        except PyMongoError as error:
            raise _history_error(error) from error

    async def remove_mark(self, workflow_id: str, part: int) -> None:
        try:
            await self._sends.delete_one({"_id": _send_id(workflow_id, part)})
        except PyMongoError as error:
            raise _history_error(error) from error

    async def ping(self) -> str:
        try:
            with pymongo.timeout(_PING_SECONDS):
                await self._client.admin.command("ping")
        except PyMongoError as error:
            raise _history_error(error) from error
        return _("MongoDB database {name}", name=self._database)

    async def close(self) -> None:
        await self._client.close()

    async def _make_indexes(self) -> None:
        """Once per process, when the server first answers: a worker can start while MongoDB is down."""
        async with self._making_indexes:
            if not self._indexes_made:
                await self._turns.create_index([("conversation", 1), ("created_at", DESCENDING)])
                await self._turns.create_index([("user", 1), ("created_at", DESCENDING)])
                for expiring in (self._turns, self._sends):
                    try:
                        await expiring.create_index("expires_at", expireAfterSeconds=0)
                    except OperationFailure as error:
                        # Servers that only speak the protocol (FerretDB 1) cannot delete them. `recent` excludes old
                        # turns.
                        reason = error.details and error.details.get("errmsg")
                        log.warning("old_documents_are_kept", collection=expiring.name, error=str(reason))
                self._indexes_made = True


def _send_id(workflow_id: str, part: int) -> str:
    return f"{workflow_id}/{part}"


def _history_error(error: PyMongoError) -> HistoryError:
    # PyMongo's text contains hosts and codes, but never credentials. The topology dump at its end helps nobody.
    reason = str(error).partition(", Topology Description")[0]
    code: Literal["unreachable", "denied", "failed"] = "failed"
    if isinstance(error, ConnectionFailure):
        code = "unreachable"
    elif isinstance(error, OperationFailure) and error.code in _DENIED:
        code = "denied"
    return HistoryError(_("MongoDB cannot be used (MONGODB_URL): {reason}", reason=reason[:300]), code)
