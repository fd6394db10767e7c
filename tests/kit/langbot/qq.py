"""Runs in an environment with LangBot, which has `websockets`: QQ as NapCat shows it, by OneBot v11 on a websocket.

Each line of standard input is an event to send. Each line of output is a call of LangBot: {"at", "action", "params"}.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

from websockets.asyncio.client import connect

SELF_ID = "30003"
DATA = {
    "get_login_info": {"user_id": int(SELF_ID), "nickname": "Mika"},
    "get_group_info": {"group_id": 20002, "group_name": "friends"},
    "get_group_member_info": {"title": ""},
}


def say(line):
    print(json.dumps(line), flush=True)


async def answer(socket):
    ids = itertools.count(900_000)
    async for text in socket:
        call = json.loads(text)
        if "action" in call:
            say({"at": time.time(), "action": call["action"], "params": call.get("params", {})})
            data = DATA.get(call["action"], {"message_id": next(ids)})
            await socket.send(json.dumps({"status": "ok", "retcode": 0, "data": data, "echo": call.get("echo")}))


async def forward(socket):
    while line := await asyncio.to_thread(sys.stdin.readline):
        await socket.send(line)


async def main():
    headers = {"X-Self-ID": SELF_ID, "X-Client-Role": "Universal", "Authorization": f"Bearer {sys.argv[2]}"}
    deadline = time.monotonic() + 60
    while True:
        try:
            socket = await connect(sys.argv[1], additional_headers=headers, max_size=2**25, proxy=None)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
    first = {"time": 1, "self_id": int(SELF_ID), "post_type": "meta_event", "meta_event_type": "lifecycle"}
    await socket.send(json.dumps(first | {"sub_type": "connect"}))
    say({"connected": sys.argv[1]})
    tasks = [asyncio.create_task(answer(socket)), asyncio.create_task(forward(socket))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await socket.close()


if __name__ == "__main__":
    asyncio.run(main())
