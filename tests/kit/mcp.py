"""`mika mcp`, asked line by line; and as the official client asks it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from typing import Any, Self

from tests.kit.environments import python_with
from tests.kit.machine import DEADLINE
from tests.kit.project import Project

FIRST = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
_COMMON = """
import asyncio, json, sys

async def ask(session, plan, shown):
    listed = await session.list_tools()
    answers = []
    for name, arguments in plan:
        try:
            result = await session.call_tool(name, arguments)
        except Exception as error:
            answers.append({"code": getattr(getattr(error, "error", error), "code", None), "text": str(error)})
            continue
        structured = result.structured_content if hasattr(result, "structured_content") else result.structuredContent
        is_error = result.is_error if hasattr(result, "is_error") else result.isError
        answers.append({"text": result.content[0].text, "structured": structured, "is_error": is_error})
    print(json.dumps({"tools": [tool.name for tool in listed.tools], "answers": answers, **shown}))

command, plan = json.loads(sys.argv[1])
"""
OLD_CLIENT = f"""{_COMMON}
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    import os
    server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        began = await session.initialize()
        await ask(session, plan, {{"version": str(began.protocolVersion), "server": began.serverInfo.name}})

asyncio.run(main())
"""
NEW_CLIENT = f"""{_COMMON}
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client

async def main():
    import os
    server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    async with Client(stdio_client(server), mode="MODE") as client:
        shown = {{"version": client.protocol_version, "server": client.server_info.name}}
        await ask(client, plan, shown)

asyncio.run(main())
"""


def official_client(project: Project, release: str, mode: str, plan: list[Any], *options: str) -> dict[str, Any]:
    """What it got: the tools, the answers to the calls of `plan` (name, arguments), and the version they agreed on."""
    python = python_with("mcp", release, "mcp")
    code = OLD_CLIENT if release == "1" else NEW_CLIENT.replace("MODE", mode)
    command = project._command(("mcp", *options))
    done = subprocess.run(
        [python, "-c", code, json.dumps([command, plan])],
        env=project.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class Mcp:
    """The server of a project, by its lines."""

    def __init__(self, project: Project, *options: str) -> None:
        self.process = subprocess.Popen(
            project._command(("mcp", *options)),
            env=project.environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name != "nt",
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> int:
        """Close its standard input; returns its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self._reader.join(5)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def send(self, method: str, params: object = None, **more: object) -> None:
        message = {"jsonrpc": "2.0", "method": method, **more} | ({} if params is None else {"params": params})
        self.write(json.dumps(message).encode())

    def answer(self, timeout: float = DEADLINE) -> dict[str, Any]:
        """The next one. Raises queue.Empty."""
        answer: dict[str, Any] = json.loads(self._lines.get(timeout=timeout))
        return answer

    def request(self, method: str, params: object = None, id_: object = 1) -> dict[str, Any]:
        self.send(method, params, id=id_)
        return self.answer()

    def call(self, name: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool."""
        result: dict[str, Any] = self.request("tools/call", {"name": name, "arguments": arguments})["result"]
        return result
