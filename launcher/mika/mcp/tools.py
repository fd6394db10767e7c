"""The tools: what each takes, and the command of mika that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from mika.frozen import frozen

Arguments = Mapping[str, Any]
"""As they were sent, once they fit the schema of the tool."""


@frozen
class Tool:
    """`argv` makes the arguments of mika; `limit` is in seconds. What a tool takes is a subset of JSON Schema."""

    description: str
    argv: Callable[[Arguments], list[str]]
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    limit: float = 60.0
    writes: bool = False
    destroys: bool = False

    def as_json(self, name: str) -> dict[str, Any]:
        """As `tools/list` tells it."""
        hints = {"readOnlyHint": not self.writes, "destructiveHint": self.destroys, "openWorldHint": False}
        schema: dict[str, Any] = {"type": "object", "properties": self.properties, "additionalProperties": False}
        if self.required:
            schema["required"] = list(self.required)
        return {"name": name, "description": self.description, "inputSchema": schema, "annotations": hints}

    def misfit(self, arguments: Arguments) -> str:
        """What is wrong with them; empty if nothing is."""
        for name in self.required:
            if name not in arguments:
                return f"{name} is missing"
        for name, value in arguments.items():
            if name not in self.properties:
                return f"there is no argument {name!r}; known: {', '.join(self.properties) or 'none'}"
            if wrong := _misfit(value, self.properties[name]):
                return f"{name} {wrong}"
        return ""


_KINDS = {"string": str, "integer": int, "boolean": bool, "array": list}


def _misfit(value: object, schema: Mapping[str, Any]) -> str:
    kind = schema["type"]
    if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of the type {kind}"
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"must be from {schema['minimum']} to {schema['maximum']}"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return "must not be empty"
        return next((f"has an item that {wrong}" for item in value if (wrong := _misfit(item, schema["items"]))), "")
    return ""


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "default": False, "description": description}


def _number(default: int, most: int, description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default, "description": description}


def _names(description: str, *, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "minItems": least, "description": description}


def _options(arguments: Arguments, *names: str) -> list[str]:
    """`--name=value` of those that were given, so that no value is taken for an option."""
    return [f"--{name}={arguments[name]}" for name in names if name in arguments]


def _flags(arguments: Arguments, *names: str) -> list[str]:
    return [f"--{name}" for name in names if arguments.get(name)]


def _logs(arguments: Arguments) -> list[str]:
    lines = f"--lines={arguments.get('lines', 50)}"
    return ["logs", lines, *_options(arguments, "since", "grep"), "--", *arguments.get("names", [])]


def _reset(arguments: Arguments) -> list[str]:
    options = [*_options(arguments, "to"), *_flags(arguments, "stuck")]
    return ["workflows", "reset", "--yes", "--json", *options, "--", *arguments.get("ids", [])]


def _send(arguments: Arguments) -> list[str]:
    return ["send", "--json", *_options(arguments, "user", "group"), "--", arguments["text"]]


def _control(verb: str, description: str) -> Tool:
    names = _names("Processes, by name.", least=1)

    def argv(arguments: Arguments) -> list[str]:
        return [verb, "--json", *_flags(arguments, "force"), "--", *arguments["names"]]

    more = {"force": _flag("Do not check whether open runs fit the new code.")} if verb == "restart" else {}
    return Tool(description, argv, {"names": names, **more}, ("names",), limit=300.0, writes=True, destroys=True)


READING = {
    "mika_status": Tool(
        "The running stack: services, processes, addresses, and the reason of what is not ready.",
        lambda _: ["status", "--json"],
    ),
    "mika_logs": Tool(
        "The last lines of processes and services, also when nothing runs.",
        _logs,
        {
            "names": _names("Whose; without it, of all. `mika` is the log of events: exits, restarts, reloads."),
            "lines": _number(50, 2000, "How many of each."),
            "since": _text("From then on: 90s, 5m, 2h, or a time such as 2026-11-24T18:00."),
            "grep": _text("Only lines that match this regular expression."),
        },
    ),
    "mika_doctor": Tool(
        "What is wrong, each with its cause and the command that fixes it; or why one workflow hangs or failed.",
        lambda given: ["doctor", "--json", *_options(given, "workflow")],
        {"workflow": _text("Explain this one: its id, a part of it, or `last`.")},
        limit=120.0,
    ),
    "mika_workflows": Tool(
        "The latest workflows, newest first, with the cause of each that failed or is stuck.",
        lambda given: ["workflows", "--json", f"-n{given.get('count', 20)}", *_flags(given, "failed", "running")],
        {
            "count": _number(20, 1000, "How many."),
            "failed": _flag("Only those that did not complete."),
            "running": _flag("Only those that run."),
        },
    ),
    "mika_check": Tool(
        "Would the open runs go on with the workflow code as it is on the disk now? Replays them; nothing is written.",
        lambda given: ["check", "--json", "--", *given.get("processes", [])],
        {"processes": _names("Which ones; without it, all workers.")},
        limit=120.0,
    ),
}
CONTROL = {
    "mika_restart": _control("restart", "Restart processes of the running stack; checks new workflow code first."),
    "mika_start": _control("start", "Start processes of the running stack that were stopped, have exited or gave up."),
    "mika_stop": _control("stop", "Stop processes of the running stack, until they are started again."),
    "mika_send": Tool(
        "Send one chat message through the project's API, and return the reply.",
        _send,
        {"text": _text("The message."), "user": _text("Who sends it."), "group": _text("The group it is sent to.")},
        ("text",),
        limit=300.0,
        writes=True,
    ),
    "mika_reset": Tool(
        "Let workflows go on from an earlier point of their history; what came after it runs again. "
        "Fix the code and restart the worker first.",
        _reset,
        {
            "ids": _names("Which ones."),
            "stuck": _flag("Instead of ids: all whose workflow task fails again and again."),
            "to": _text(
                "`last-good` (default): as late as the code now fits. `first`: the beginning. "
                "Or the id of an event, or the type of an activity."
            ),
        },
        limit=300.0,
        writes=True,
        destroys=True,
    ),
}
