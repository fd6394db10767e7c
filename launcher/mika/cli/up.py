"""`mika up`: in this terminal, in the background (-d), or attached to what runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from mika.cli.context import (
    Context,
    confirm,
    is_terminal,
    json_option,
    look_option,
    print_json,
    use_color,
)
from mika.cli.foreground import Look, supervise
from mika.cli.language import echo
from mika.cli.names import of_processes
from mika.cli.screen.view import View
from mika.cli.stream import stream
from mika.config.load import Config
from mika.errors import OK, MikaError
from mika.project.event_log import EventReader
from mika.project.folder import ProjectDir
from mika.stack import background
from mika.stack.attach import Attached, StoppedError, wait_for_supervisor
from mika.stack.debugging import check_names
from mika.stack.prepared import Prepared, UpOptions, prepare
from mika.wording import _, joined


@click.command("up")
@click.argument("processes", nargs=-1, metavar="[PROCESS]...", shell_complete=of_processes)
@click.option("-d", "--detach", is_flag=True, help="Return when ready; the stack goes on in the background.")
@click.option("--backend", metavar="NAME", help="auto, docker, embedded, external or none.")
@click.option("--timeout", metavar="S", help="Seconds for the whole start (default 120).")
@click.option("--keep-services", is_flag=True, help="Leave containers running at the end.")
@click.option("--watch", is_flag=True, help="Restart a process when its files change.")
@click.option(
    "--debug",
    multiple=True,
    metavar="PROCESS",
    shell_complete=of_processes,
    help="Let a debugger into this process; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Without a Procfile: start what is found, without asking.")
@click.option("--answer", "answers", multiple=True, hidden=True, help="KEY=TEXT: what `up` has asked already.")
@click.option("--serve", metavar="FILE", hidden=True, help="Be the background part of -d; FILE gets the error.")
@click.option("--plain", is_flag=True, help="Lines only: no status line, no keys (for a screen reader).")
@look_option
@json_option
@click.pass_obj
def up_command(
    context: Context,
    processes: tuple[str, ...],
    detach: bool,
    backend: str | None,
    timeout: str | None,
    keep_services: bool,
    watch: bool,
    debug: tuple[str, ...],
    yes: bool,
    answers: tuple[str, ...],
    serve: str | None,
    plain: bool,
    pretty: bool | None,
    as_json: bool,
) -> None:
    """Bring the stack up: services, then processes, each waited for only as long as needed.

    PROCESS may be a name of the Procfile, or NAME=N for N of them; without any, all are started. Ctrl-C stops what this
    command started; a second Ctrl-C forces it. Without a Procfile, mika shows what it finds in the project, and asks
    before it starts that; `mika init` writes it down.
    """
    with background.reported_to(Path(serve) if serve is not None else None):
        config = context.load({"MIKA_BACKEND": backend, "MIKA_TIMEOUT": timeout})
        options = UpOptions(processes, config.number("MIKA_TIMEOUT"), keep_services, watch, debug)
        folder = ProjectDir(config.project)
        look = Look(pretty, plain=plain or os.environ.get("TERM") == "dumb")
        asks = not (yes or as_json or serve is not None)
        prepared, agreed = _prepare(config, folder, answers, asks=asks, is_running=folder.is_locked())
        # All bad input is found here, before anything is written or started.
        units = prepared.units(processes)
        names = [unit.name for unit in units]
        check_names(debug, units)
        folder.create()
        deadline = time.monotonic() + options.timeout
        reader = EventReader(folder)
        while True:
            with folder.try_lock() as is_free:
                if is_free and agreed is None:
                    prepared, agreed = _prepare(config, folder, answers, asks=asks, is_running=False)
                if is_free and serve is not None:
                    _serve(prepared, options, Path(serve))
                if is_free and not detach:
                    sys.exit(supervise(prepared, options, quiet=as_json, as_json=as_json, look=look).code)
            if is_free:
                words = [*(agreed or ())]
                words += _same_words(processes, backend, timeout, debug, keep_services=keep_services, watch=watch)
                started = background.start(folder, words, warn=_warn)
                attached = Attached(context.client, reader, background=started)
                sys.exit(_until_ready(attached, config, deadline, names, as_json=as_json, plain=look.plain))
            if not wait_for_supervisor(context.client, deadline):
                continue  # it was just stopping, and now it is gone: our turn
            if serve is not None:
                raise MikaError(_("another `mika up` was quicker"), code=background.ALREADY_UP)
            attached = Attached(context.client, reader)
            with contextlib.suppress(StoppedError):  # in this very moment: our turn
                status = attached.start_missing(processes)
                break
        note = _already_up(debug, watch=watch, keep_services=keep_services)
        if detach:
            sys.exit(_until_ready(attached, config, deadline, (), as_json=as_json, plain=look.plain, note=note))
        if as_json:
            print_json(status.as_json())
            sys.exit(OK)
        sys.exit(stream(context, attached, status, note, look))


def _warn(text: str) -> None:
    echo(_("mika: {text}", text=text), err=True)


def _prepare(
    config: Config, folder: ProjectDir, answers: Sequence[str], *, asks: bool, is_running: bool
) -> tuple[Prepared, list[str] | None]:
    """The stack of the Procfile, or else of what is found, and the words that make another `mika up` find the same.

    The words are None if a stack runs already: to attach to it, nothing is asked, so this one must not be started.
    """
    if (config.project / "Procfile").exists():
        return prepare(config, folder), []
    from mika.cli import found
    from mika.detect import written

    if is_running:
        proposal, words = found.look(config, {}), None
    else:
        asks = asks and is_terminal()
        proposal, given = found.settle(config, answers, may_ask=asks)
        words = ["--yes", *(word for answer in given for word in ("--answer", answer))]
        if asks:
            confirm("\n" + _("Start this? (`mika init` writes it down.)"))
    return prepare(written.configured(proposal, config), folder, written.entries(proposal)), words


def _serve(prepared: Prepared, options: UpOptions, report: Path) -> NoReturn:
    """Be the background part of `up -d`, with the lock in hand."""
    if not background.is_wanted(report):
        sys.exit(OK)
    result = supervise(prepared, options, quiet=True, as_json=False)
    if result.stopped_early:
        raise MikaError(_("it was stopped before it was ready"), _("by `mika down`?"), code="stopped")
    sys.exit(result.code)


def _same_words(
    processes: tuple[str, ...],
    backend: str | None,
    timeout: str | None,
    debug: tuple[str, ...],
    *,
    keep_services: bool,
    watch: bool,
) -> list[str]:
    """The same command line for the background process."""
    given = [("--backend", backend), ("--timeout", timeout), *(("--debug", name) for name in debug)]
    flags = [("--keep-services", keep_services), ("--watch", watch)]
    words = [word for option, value in given if value is not None for word in (option, value)]
    return [*words, *(flag for flag, is_set in flags if is_set), "--", *processes]


def _already_up(debug: tuple[str, ...], *, watch: bool, keep_services: bool) -> str:
    ignored = [flag for flag, is_set in (("--watch", watch), ("--keep-services", keep_services)) if is_set]
    if debug:
        return _(
            "already up: --debug has no effect on a running stack (`mika restart {names} --debug`)",
            names=" ".join(debug),
        )
    if not ignored:
        return _("already up: what it was started with stays (other options: `mika down` first)")
    return _(
        "already up: {options} has no effect on a running stack (`mika down` first)",
        options=joined(_(" and "), ignored),
    )


def _until_ready(
    attached: Attached,
    config: Config,
    deadline: float,
    names: Sequence[str],
    *,
    as_json: bool,
    plain: bool,
    note: str = "",
) -> int:
    """Show progress until it is ready; the exit code."""
    from mika.readiness import webhook

    view = View(ProjectDir(config.project).logs, names, color=use_color(), quiet=as_json, plain=plain)
    if note:
        view.say(note)
    try:
        status = attached.until_ready(deadline, view.event)
        if status is None:
            view.say(_("all processes have exited"))
            return OK
        has_webhook = not as_json and asyncio.run(webhook.is_among(status.urls, config))
        view.ready(status.addresses, has_webhook=has_webhook)
    except KeyboardInterrupt:
        if attached.is_own:
            view.say(_("stopping"))
            attached.stop_own()
        raise
    finally:
        attached.delete_report()
        view.close()
    if as_json:
        print_json(status.as_json())
    return OK
