"""JSON-RPC, a message a line, on standard input and output. https://modelcontextprotocol.io/specification

Both generations: with `initialize` (up to 2025-11-25), and with the version in each request (2026-07-28).
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from mika import __version__
from mika.mcp.call import Call, Done
from mika.mcp.tools import CONTROL, READING, Tool
from mika.text import plain

Object = dict[str, Any]

_WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_WITHOUT = ("2026-07-28",)
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_SERVER = {"name": "mika", "version": __version__}
_CAPABILITIES: Object = {"tools": {}}
_LONGEST = 100_000
"""Characters of text in an answer: more would only fill the reader's memory."""
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS, _NO_VERSION = -32700, -32600, -32601, -32602, -32022


class _RpcError(Exception):
    def __init__(self, code: int, message: str, data: Object | None = None) -> None:
        super().__init__(message)
        self.error: Object = {"code": code, "message": message} | ({"data": data} if data else {})


class Server:
    """`command` is mika's own command line, to which a tool adds its arguments."""

    def __init__(self, command: Sequence[str], instructions: str, out: BinaryIO, *, control: bool = False) -> None:
        self._command, self._instructions, self._out = command, instructions, out
        self._tools: dict[str, Tool] = READING | (CONTROL if control else {})
        self._lock = threading.Lock()
        self._calls: dict[str | int, Call] = {}

    def serve(self, lines: BinaryIO) -> None:
        """Until `lines` ends; then nothing that was started is left."""
        try:
            for line in lines:
                self._take(line)
        finally:
            for call in list(self._calls.values()):
                call.cancel()
            self._lock.acquire()  # for good: who would still write while the interpreter ends would crash it

    def _take(self, line: bytes) -> None:
        id_: str | int | None = None
        try:
            message = _parse(line)
            if message is None:
                return
            id_ = _id_of(message)
            method, params = message["method"], message.get("params", {})
            if not isinstance(params, dict):
                raise _RpcError(_INVALID_PARAMS, "params must be an object")  # noqa: TRY301
            if id_ is None:
                self._notice(method, params)
            elif method == "tools/call":
                self._call(id_, params)
            else:
                self._answer(id_, params, self._result(method, params))
        except _RpcError as error:
            self._send({"id": id_, "error": error.error})

    def _notice(self, method: str, params: Object) -> None:
        id_ = params.get("requestId")
        if method == "notifications/cancelled" and isinstance(id_, str | int) and (call := self._calls.get(id_)):
            call.cancel()

    def _result(self, method: str, params: Object) -> Object:
        is_modern = _is_modern(params)
        about = {"capabilities": _CAPABILITIES, "instructions": self._instructions}
        cache = {"ttlMs": 0, "cacheScope": "private"}
        match method:
            case "initialize":
                asked = params.get("protocolVersion")
                version = asked if asked in _WITH_HANDSHAKE else _WITH_HANDSHAKE[0]
                return {"protocolVersion": version, "serverInfo": _SERVER, **about}
            case "server/discover":
                return {"supportedVersions": [*_WITHOUT, *_WITH_HANDSHAKE], **about, **cache}
            case "tools/list":
                tools = [tool.as_json(name) for name, tool in self._tools.items()]
                return {"tools": tools, **(cache if is_modern else {})}
            case "ping":
                return {}
        raise _RpcError(_NO_METHOD, f"there is no method {method!r}")

    # --- tools -------------------------------------------------------------------------------------------------------

    def _call(self, id_: str | int, params: Object) -> None:
        _is_modern(params)
        name, arguments = params.get("name"), params.get("arguments", {})
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            more = "; `mika mcp --allow-control` has it" if name in CONTROL else ""
            raise _RpcError(_INVALID_PARAMS, f"there is no tool {name!r}{more}")
        if wrong := "must be an object" if not isinstance(arguments, dict) else tool.misfit(arguments):
            raise _RpcError(_INVALID_PARAMS, f"{name}: arguments: {wrong}")
        if id_ in self._calls:
            raise _RpcError(_INVALID_REQUEST, f"the request {id_!r} is not answered yet")
        call = self._calls[id_] = Call()
        threading.Thread(target=self._run, args=(id_, params, call, tool), daemon=True).start()

    def _run(self, id_: str | int, params: Object, call: Call, tool: Tool) -> None:
        try:
            command = [*self._command, *tool.argv(params.get("arguments", {}))]
            result = _tool_result(call.run(command, tool.limit), tool.limit)
        except (OSError, ValueError) as error:  # such as a null character in an argument
            result = _failure(f"the command could not be started: {error}")
        finally:
            del self._calls[id_]
        if not call.is_cancelled:
            self._answer(id_, params, result)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _answer(self, id_: str | int, params: Object, result: Object) -> None:
        if _has_version(params) or "supportedVersions" in result:
            result |= {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": _SERVER}}
        self._send({"id": id_, "result": result})

    def _send(self, message: Object) -> None:
        # Escapes, because half a surrogate pair (a broken client's) cannot be written as UTF-8.
        data = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):  # the client has gone: standard input ends, too
            self._out.write(data)
            self._out.flush()


def serve(command: Sequence[str], instructions: str, *, control: bool) -> None:
    """Until standard input is closed, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(command, instructions, sys.stdout.buffer, control=control).serve(sys.stdin.buffer)


def _parse(line: bytes) -> Object | None:
    """A request or a notification; None for what needs no answer. Raises _RpcError."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _RpcError(_PARSE_ERROR, "not JSON") from None
    if not isinstance(message, dict):
        raise _RpcError(_INVALID_REQUEST, "a message must be an object")
    if "method" not in message and ("result" in message or "error" in message):
        return None
    if message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        raise _RpcError(_INVALID_REQUEST, "not a request of JSON-RPC 2.0")
    return message


def _id_of(message: Mapping[str, Any]) -> str | int | None:
    """None for a notification. Raises _RpcError."""
    if "id" not in message:
        return None
    id_: object = message["id"]
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        raise _RpcError(_INVALID_REQUEST, "an id must be a string or an integer")
    return id_


def _has_version(params: Object) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and _VERSION_KEY in meta


def _is_modern(params: Object) -> bool:
    """Whether the request names its version. Raises _RpcError if it is one that mika does not speak."""
    if not _has_version(params):
        return False
    version = params["_meta"][_VERSION_KEY]
    if version not in _WITHOUT:
        data = {"supported": list(_WITHOUT), "requested": version}
        raise _RpcError(_NO_VERSION, f"the version {version!r} is not supported", data)
    return True


def _tool_result(done: Done, limit: float) -> Object:
    """What the command has found. A finding (exit code 1 of `mika doctor`) is an answer; an error is an error."""
    if done.code is None:
        return _failure(f"no answer within {limit:.0f} s; the command was ended")
    try:
        answer = json.loads(done.out)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return _failure(plain(done.err).strip() or f"exit code {done.code}") if done.code else _text(plain(done.out))
    if isinstance(error := answer.get("error"), dict):
        return _failure("\n".join(filter(None, (error.get("message"), error.get("hint")))))
    compact = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return {"content": [{"type": "text", "text": compact}], "structuredContent": answer, "isError": False}


def _text(text: str) -> Object:
    if len(text) > _LONGEST:
        text = f"(only the last {_LONGEST} of {len(text)} characters)\n{text[-_LONGEST:]}"
    return {"content": [{"type": "text", "text": text}], "isError": False}


def _failure(text: str) -> Object:
    return _text(text) | {"isError": True}
