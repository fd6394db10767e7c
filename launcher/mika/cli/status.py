"""`mika status`."""

from __future__ import annotations

import time
from typing import Any

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.down import sweep_if_idle
from mika.errors import NotRunningError, UsageError

_COLOURS = {"ready": "green", "starting": "yellow", "waiting": "yellow", "backoff": "yellow", "stopping": "yellow"}
_QUIET = {"stopped": None, "exited": None}


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Show it again every second until Ctrl-C.")
@click.pass_obj
def status_command(context: Context, as_json: bool, watch: bool) -> None:
    """Show services, processes and addresses of the running stack."""
    if as_json and watch:
        raise UsageError("--json prints one object; --watch goes on", "use one of them")
    while True:
        try:
            found = context.ask("status")
        except NotRunningError as error:
            swept = sweep_if_idle(context.folder)
            if swept:
                error.message += f"; ended what a killed run left: {', '.join(swept)}"
            raise
        if watch:
            click.clear()
        if as_json:
            print_json(found)
        else:
            click.echo(render(found))
        if not watch:
            return
        time.sleep(1)


def render(found: dict[str, Any]) -> str:
    """The status as a table for people."""
    head = f"{_state(found['state'])}  backend {found['backend']}, supervisor pid {found['supervisor']['pid']}"
    rows = [
        [
            s["name"],
            s["state"],
            str(s.get("pid") or ""),
            _restarts(s),
            _duration(s.get("uptime_s")),
            s["address"],
            s["detail"],
        ]
        for s in found["services"]
    ]
    rows += [
        [p["name"], p["state"], str(p["pid"] or ""), _restarts(p), _duration(p["uptime_s"]), "", _detail(p)]
        for p in found["processes"]
    ]
    table = [["NAME", "STATE", "PID", "RESTARTS", "UP", "ADDRESS", ""], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]) - 1)]
    lines = []
    for number, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        if number:
            cells[1] = _state(row[1]) + " " * (widths[1] - len(row[1]))
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    urls = [f"{name.replace('_', ' ')}: {url}" for name, url in found["urls"].items()]
    return "\n".join([head, "", *lines, *([""] if urls else []), *urls])


def _state(state: str) -> str:
    if state in _QUIET:
        return state
    return click.style(state, fg=_COLOURS.get(state, "red"))


def _restarts(entry: dict[str, Any]) -> str:
    return str(entry.get("restarts") or "")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def _detail(process: dict[str, Any]) -> str:
    last = process["last_exit"]
    if last is None or last["reason"] in process["detail"]:
        return str(process["detail"])
    return f"{process['detail']}  (last exit {_duration(last['ago_s'])} ago: {last['reason']})"
