"""A terminal beside a supervisor that runs in another process: what it shows comes from the event log and the logs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import psutil

import mika
from mika.cli.context import Context, print_json
from mika.cli.screen.view import View, use_color
from mika.cli.status import render
from mika.cli.wait_ import missing
from mika.config.load import Config
from mika.errors import FAILED, INTERRUPTED, MikaError, NotRunningError
from mika.project import logs
from mika.project.folder import ProjectDir
from mika.stack.stack import EVENT_LOG

_STEP = 0.05
_LATER = 15.0
"""Seconds that a supervisor in the background has longer than we: it began later, and asks the doctor at the end."""
_REPORT = 60.0
"""Seconds for it to stop all and write why, once it is stopping."""
_GONE = {
    "ready": ("removed", "disconnected"),  # its next answer is due within half a second
    "starting": ("removed",),
    "unhealthy": ("removed", "disconnected", "exited", "dead"),
}
"""By state of the service: what is known of a container that nobody starts again, or connects again, by itself."""
ALREADY_UP = "already_up"
"""Code of the background process that lost the race of two `up -d` at once: its parent attaches to the winner."""


class Attached:
    """`process` is the supervisor, when this command started it (up -d)."""

    def __init__(
        self,
        context: Context,
        config: Config,
        *,
        quiet: bool,
        process: subprocess.Popen[bytes] | None = None,
        report: Path | None = None,
        names: Sequence[str] = (),
        events: logs.Follower | None = None,
    ) -> None:
        self._context, self._config, self._quiet = context, config, quiet
        self._folder = ProjectDir(config.project)
        self._process, self._report, self._names = process, report, names
        self._was_ready = False  # as the event log says
        self._error = ""  # the last one in the event log
        self._types: set[str] = set()  # of processes, where only these were asked for
        self._events = events or logs.Follower(self._folder.logs, EVENT_LOG, tail=0)

    def wait_for_supervisor(self, deadline: float) -> bool:
        """True when it answers and is not stopping; False when it has gone meanwhile. Raises at the deadline."""
        while True:
            try:
                if self._context.ask("status")["state"] != "stopping":
                    return True
            except NotRunningError:
                return False
            except MikaError:
                pass
            if not self._folder.is_locked():
                return False
            if time.monotonic() >= deadline:
                state = self._folder.read_state()
                raise MikaError(
                    "another `mika` holds this folder and does not answer",
                    f"end its process (pid {state.pid if state else 'unknown'}): its services then stop by themselves",
                    code="busy",
                )
            time.sleep(_STEP)

    def revive(self, wanted: Sequence[str]) -> None:
        """`up` of what is up already: start what was stopped, gave up or was removed.

        Raises MikaError for what is no part of it.
        """
        found = self._context.ask("status")
        services = [unit for unit in found["services"] if unit["kind"] == "process" and unit["state"] == "exited"]
        types = self._types = {word.partition("=")[0] for word in wanted}
        running = {process["name"].partition(".")[0] for process in found["processes"]}
        if types - running:
            raise MikaError(
                f"{', '.join(sorted(types - running))}: not part of the stack that runs ({', '.join(sorted(running))})",
                "`mika down` first, then `mika up` with all that you want",
                code="not_in_stack",
            )
        ended = [p for p in found["processes"] if p["state"] in ("stopped", "gave_up")]
        names = [unit["name"] for unit in ended if not types or unit["name"].partition(".")[0] in types]
        names += [unit["name"] for unit in services if "pid" in unit]
        if names:
            self._context.ask("start", names=names)
        if lost := _lost(found["services"]):
            self._context.ask("restart", names=lost)

    def until_ready(self, deadline: float, *, as_json: bool) -> int:
        """Show progress until ready (exit code 0). Raises MikaError when it cannot become ready."""
        view = View(self._folder.logs, self._names, color=use_color(), quiet=self._quiet)
        if self._process is None:
            view.say("already up: what it was started with stays (other options: `mika down` first)")
        stopping: float | None = None
        try:
            while True:
                self._show_events(view)
                if self._process is not None and self._process.poll() == 0:
                    view.say("all processes have ended")
                    return 0
                found = self._status()
                # One that crashes soon after its start is ready for milliseconds, between two looks at the status.
                if found is not None and (self._all_ready(found) or (self._process and self._was_ready)):
                    break
                if gave_up := _gave_up(found) if found and not self._process else None:
                    name = gave_up["name"]
                    raise MikaError(f"{name} gave up: {gave_up['detail']}", f"see `mika logs {name}`", code="gave_up")
                now = time.monotonic()
                if self._process and stopping is None and found and found["state"] == "stopping":
                    stopping = now
                busy = found["supervisor"].get("busy_s", 0) if found is not None else 0
                end = deadline + busy + (_LATER if self._process else 0)
                if now >= (end if stopping is None else stopping + _REPORT):
                    reason = self._error if stopping is not None else ""
                    raise MikaError(
                        reason or f"not ready in time: {missing(found)}", "see `mika logs`", code="not_ready"
                    )
                time.sleep(_STEP)
            self._show_events(view)
            view.ready(found)
        except KeyboardInterrupt:
            if self._process is None:
                raise
            view.say("stopping")
            self._stop_own()
            raise
        finally:
            if self._report is not None:
                self._report.unlink(missing_ok=True)  # nobody will read it any more
            view.close()
        if as_json:
            print_json(found)
        return 0

    def _all_ready(self, found: dict[str, Any]) -> bool:
        """The whole stack, or what was named of one that runs already."""
        named = [p for p in found["processes"] if p["name"].partition(".")[0] in self._types]
        return all(p["state"] == "ready" for p in named) if named else found["state"] == "ready"

    def stream(self) -> int:
        """Show logs and events until the stack ends (exit code 0) or Ctrl-C, which only detaches."""
        found = self._context.ask("status")
        if self._quiet:
            print_json(found)
            return 0
        names = [unit["name"] for unit in (*found["services"], *found["processes"])]
        logged = [unit["name"] for unit in (*found["services"], *found["processes"]) if unit.get("kind") != "container"]
        view = View(self._folder.logs, names, color=use_color(), logged=logged)
        view.show_logs()
        view.say(f"already up: attached to supervisor pid {found['supervisor']['pid']} (Ctrl-C detaches, it goes on)")
        view.say(render(found) + "\n")
        try:
            while self._folder.is_locked():
                self._show_events(view)
                time.sleep(0.2)
        except KeyboardInterrupt:
            view.say("detached; the stack goes on: `mika down` stops it")
            return INTERRUPTED
        finally:
            self._show_events(view)
            view.close()
        return 0

    def _status(self) -> dict[str, Any] | None:
        """The supervisor's status; None while it does not answer yet. Raises what it died of."""
        if self._process is not None and self._process.poll() is not None:
            failure = self._last_words()
            if failure.code != ALREADY_UP:
                raise failure
            self._process = None
        try:
            found: dict[str, Any] = self._context.ask("status")
        except NotRunningError:
            if self._process is None:
                raise
            return None
        except MikaError:
            return None
        return found

    def _stop_own(self) -> None:
        """Ctrl-C while it starts: stop what this command started."""
        force = False
        while self._process is not None and self._process.poll() is None:
            try:
                with contextlib.suppress(MikaError):
                    self._context.ask("down", force=force)
                    self._process.wait()
                time.sleep(_STEP)
            except KeyboardInterrupt:
                force = True  # the second one: at once, and still wait until all are gone

    def _last_words(self) -> MikaError:
        """The error that the background process wrote for us."""
        code = self._process.returncode if self._process else 1
        try:
            if self._report is None:
                raise FileNotFoundError
            error = json.loads(self._report.read_text(encoding="utf-8"))
            failure = MikaError(error["message"], error["hint"], code=error["code"])
        except (OSError, ValueError, KeyError):
            failure = MikaError(
                f"the supervisor ended with exit code {code} and said nothing", "`mika up` without -d shows more"
            )
        failure.exit_code = code if code > 0 else FAILED
        return failure

    def _show_events(self, view: View) -> None:
        for line in self._events.poll():
            try:
                event = json.loads(line.data)
            except ValueError:
                continue
            self._was_ready = self._was_ready or (event["kind"], event.get("state")) == ("stack", "ready")
            if (event["kind"], event.get("level")) == ("notice", "error"):
                self._error = event["message"]
            view.event(event)


def _gave_up(found: dict[str, Any]) -> dict[str, Any] | None:
    """A unit without which the stack does not become ready, and for which waiting is in vain."""
    units = [*found["processes"], *(unit for unit in found["services"] if unit.get("required"))]
    return next((unit for unit in units if "gave_up" in (unit["state"], unit.get("phase"))), None)


def _lost(services: Sequence[dict[str, Any]]) -> list[str]:
    """The containers to be started again, or made anew."""
    containers = [unit for unit in services if unit["kind"] == "container"]
    done = [unit["name"] for unit in containers if unit.get("phase") == "exited"]  # with 0: it has done its work
    lost = [
        unit["name"]
        for unit in containers
        if (unit["state"] == "exited" and unit["name"] not in done)
        or unit.get("container") in _GONE.get(unit["state"], ())
    ]
    # A volume may have gone, too: then what set it up has to do it again, and else finds nothing to do.
    return [*lost, *done] if lost else []


def spawn_background(
    context: Context, config: Config, words: list[str], names: Sequence[str], *, quiet: bool
) -> Attached:
    """Start `mika up` with `words` as a process of its own that outlives this terminal."""
    folder = ProjectDir(config.project)
    events = logs.Follower(folder.logs, EVENT_LOG, tail=0)
    report = folder.run / f"up-{os.getpid()}.json"
    command = [sys.executable, "-m", "mika", "-C", str(config.project), "up", "--serve", str(report), *words]
    _forget_reports(folder.run)
    report.touch(mode=0o600)  # while it is there, somebody reads it
    try:
        process = _popen(command)
    except OSError:
        report.unlink()
        raise
    return Attached(context, config, quiet=quiet, process=process, report=report, events=events, names=names)


def _forget_reports(folder: Path) -> None:
    """Of an `up -d` that was killed."""
    for report in folder.glob("up-*.json"):
        pid = report.stem.removeprefix("up-")
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):
            report.unlink(missing_ok=True)


def _popen(command: list[str]) -> subprocess.Popen[bytes]:
    def start(**options: Any) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        # cwd: `-m mika` finds this very package, whatever the caller's folder has by that name.
        package = Path(mika.__file__).parents[1]
        return subprocess.Popen(command, cwd=package, stdin=null, stdout=null, stderr=null, **options)

    if sys.platform == "win32":
        # A hidden console of its own: closing this one does not reach it. Out of the job of an IDE or SSH session, too,
        # where that job allows it; where not (ERROR_ACCESS_DENIED), it may end with that session.
        try:
            return start(creationflags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:
            click.echo("mika: the stack may end with this session, which does not let processes leave it", err=True)
            return start(creationflags=subprocess.CREATE_NO_WINDOW)
    return start(start_new_session=True)
