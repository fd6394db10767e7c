"""Runs in an environment with LangBot (environments.py): its real classes, one JSON request a line, one answer a line.

Nothing of this project can be imported here. What is not LangBot's own is only the application object around the
classes, with a logger and the list of webhooks.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import sys
import types
import uuid

import langbot.pkg.core

# The application imports every provider and database of LangBot; the classes here name it in annotations only.
application = types.ModuleType("langbot.pkg.core.app")
application.Application = object
sys.modules["langbot.pkg.core.app"] = langbot.pkg.core.app = application

import aiocqhttp  # noqa: E402
from langbot.pkg.platform.sources import aiocqhttp as old_adapter  # noqa: E402
from langbot.pkg.platform.webhook_pusher import WebhookPusher  # noqa: E402
from langbot_plugin.api.entities.builtin.platform import entities, events, message  # noqa: E402
from langbot_plugin.api.entities.builtin.provider import message as provider  # noqa: E402

VERSION = tuple(int(part) for part in importlib.metadata.version("langbot").split("."))
if VERSION >= (4, 11):
    from langbot.pkg.platform.adapters.aiocqhttp import event_converter as new_adapter
else:  # from 4.11 on, the runner is a plugin, which is not on the package index
    from langbot.pkg.provider.runners.n8nsvapi import N8nServiceAPIRunner
CONTEXT = ()  # 4.7 has no workspaces
if VERSION >= (4, 10):
    from langbot.pkg.api.http.context import ExecutionContext

    CONTEXT = (ExecutionContext(instance_uuid="i", workspace_uuid="w", placement_generation=1),)

BOT_UUID = "6e47a1b2-0000-4000-8000-000000000001"
QUOTED = [{"type": "text", "data": {"text": "earlier words"}}]


class Log(logging.Handler):
    """What LangBot logged about a request: it swallows every error."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


class OneBot:
    """The QQ side that an adapter asks for more, e.g. for a quoted message."""

    async def get_msg(self, message_id):
        return {"message": QUOTED, "user_id": 10001, "message_id": message_id}

    async def get_group_info(self, **_):
        return {"group_name": "friends"}

    async def get_group_member_info(self, **_):
        return {"title": ""}


class Webhooks:
    def __init__(self, urls):
        self.urls = urls

    async def get_enabled_webhooks(self, *_):
        return [{"url": url} for url in self.urls]


async def push(request, log):
    """Push an event as LangBot does. With `chain`, the message is made of LangBot's components instead of OneBot's."""
    if "chain" in request:
        event = made_event(request, message.MessageChain.model_validate(request["chain"]))
    else:
        event = await converted(aiocqhttp.Event.from_payload(request["onebot"]), request.get("adapter", "aiocqhttp"))
    pusher = WebhookPusher(types.SimpleNamespace(webhook_service=Webhooks([request["url"]]), logger=log))
    is_group = isinstance(event, events.GroupMessage)
    send = pusher.push_group_message if is_group else pusher.push_person_message
    skipped = await send(*CONTEXT, event, BOT_UUID, "AiocqhttpAdapter")
    return {"skip_pipeline": skipped, "components": [type(part).__name__ for part in event.message_chain]}


async def converted(event, adapter):
    if adapter == "onebot-v11":
        return await new_adapter.AiocqhttpEventConverter.target2legacy(event, OneBot())
    return await old_adapter.AiocqhttpEventConverter().target2yiri(event, OneBot())


def made_event(request, chain):
    if not request.get("group"):
        sender = entities.Friend(id=request["user"], nickname="Ann", remark="")
        return events.FriendMessage(sender=sender, message_chain=chain, time=1795493979.0)
    group = entities.Group(id=request["group"], name="friends", permission=entities.Permission.Member)
    sender = entities.GroupMember(
        id=request["user"], member_name="Ann", permission="MEMBER", group=group, special_title=""
    )
    return events.GroupMessage(sender=sender, message_chain=chain, time=1795493979.0)


async def ask_n8n(request, log):
    """Ask the workflow of n8n as LangBot's runner does; what it would send to the chat, message by message."""
    runner = N8nServiceAPIRunner(
        types.SimpleNamespace(logger=log),
        {"ai": {"n8n-service-api": {"webhook-url": request["url"], "timeout": 60, **request.get("config", {})}}},
    )

    async def streams():
        return request["stream"]

    kind, chat = request.get("chat", ("person", 10001))
    query = types.SimpleNamespace(
        session=types.SimpleNamespace(
            using_conversation=types.SimpleNamespace(uuid=str(uuid.uuid4())),
            launcher_type=types.SimpleNamespace(value=kind),
            launcher_id=chat,
        ),
        variables={
            "launcher_type": kind,
            "launcher_id": chat,
            "sender_id": 10001,
            "session_id": f"{kind}_{chat}",
            "msg_create_time": 1795493979,
            "group_name": "friends",
            "sender_name": "Ann",
            "_pipeline_bound_plugins": None,
            **request.get("variables", {}),
        },
        adapter=types.SimpleNamespace(is_stream_output_supported=streams),
        user_message=provider.Message(role="user", content=request["text"]),
    )
    try:
        return {"messages": [part.content async for part in runner.run(query)]}
    except Exception as error:  # noqa: BLE001 - what the user sees as an error in the chat
        return {"error": str(error)}


async def deliver(request, _):
    """What reaches QQ of a `message_chain` given to LangBot's `send_message`. An error here is a 400 or 500 there."""
    try:
        chain = message.MessageChain.model_validate(request["chain"])
        segments, _, _ = await old_adapter.AiocqhttpMessageConverter.yiri2target(chain)
    except Exception as error:  # noqa: BLE001
        return {"error": repr(error)}
    return {"segments": [{"type": part["type"], "data": dict(part["data"])} for part in segments]}


async def answer(request):
    handler = Log()
    log = logging.getLogger(uuid.uuid4().hex)
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False
    actions = {"push": push, "n8n": ask_n8n, "deliver": deliver}
    found = await actions[request["do"]](request, log)
    return {**found, "log": handler.lines}


async def main():
    print(json.dumps({"started": VERSION}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            found = await answer(json.loads(line))
        except Exception as error:  # noqa: BLE001
            found = {"crash": repr(error)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
