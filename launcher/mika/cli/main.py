"""The `mika` command: global options, the verbs, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is made of: that one imports much itself
import os

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Ctrl-C while the rest is imported, which takes seconds on a busy machine: there is nothing to clean up, and nobody
    # wants to see a traceback.
    _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))

import contextlib
import importlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from mika import __version__
from mika.cli.context import Context, harden_streams, show_error, wanted_color
from mika.cli.group import Group
from mika.cli.language import echo, language, shown
from mika.cli.spelling import use_folder
from mika.config.search import find_project
from mika.errors import FAILED, INTERRUPTED, OK, MikaError, UsageError
from mika.quoting import rights_command
from mika.wording import _

_VERBS = {
    "init": _("Find out what runs here, and write it to a Procfile."),
    "up": _("Bring the stack up and keep it up."),
    "down": _("Stop processes, then services."),
    "status": _("Services, processes, addresses."),
    "top": _("Processes, queues and workflows at one glance, live."),
    "ps": _("The same as status."),
    "open": _("Open a page of the stack in the browser: ui, api, docs, NAME."),
    "url": _("Print where a process or service is."),
    "describe": _("Everything about one process."),
    "wait": _("Return when the stack is ready."),
    "logs": _("Output of processes and services."),
    "restart": _("Restart processes of a running stack."),
    "stop": _("Stop processes of a running stack."),
    "start": _("Start processes of a running stack."),
    "attach": _("The terminal of a process that is being debugged."),
    "check": _("Does the new code fit the runs that are open?"),
    "send": _("Send one message through the real API."),
    "why-silent": _("Why the bot did not answer a message."),
    "history": _("What the bot keeps of a user: show or forget it."),
    "doctor": _("Find out what is wrong, and how to fix it."),
    "run": _("Start a workflow of any type."),
    "signal": _("Send a signal to a workflow."),
    "update": _("Send an update to a workflow, and print its result."),
    "query": _("Ask a workflow, and print its answer."),
    "skip": _("Let the timers of one workflow fire now."),
    "workflows": _("The latest messages' workflows, and their causes."),
    "config": _("Every setting, and where it came from."),
    "mcp": _("Let an agent ask: the commands as tools (MCP)."),
    "completion": _("Let a shell complete commands and names."),
    "help": _("Help about a command, or a topic: procfile, config, backends, exit-codes."),
}
_MODULES = {"restart": "process", "stop": "process", "start": "process", "config": "config_", "wait": "wait_"}
_MODULES |= {"update": "signal", "query": "signal", "why-silent": "why_silent"}
_MODULES |= {"open": "open_", "url": "open_", "help": "help_"}
_ALIASES = {"ps": "status"}


class Verbs(Group):
    """Loads a verb's module only when it is used, so that each command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_VERBS)

    def find(self, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        name = _ALIASES.get(name, name)
        module = importlib.import_module(f"mika.cli.{_MODULES.get(name, name)}")
        command: click.Command = getattr(module, f"{name.replace('-', '_')}_command")
        return command

    def short_help_of(self, name: str) -> str:
        return shown(_VERBS[name])


def _check_folder(
    _context: click.Context, _param: click.Parameter, folder: str | None, platform: str = sys.platform
) -> str | None:
    r"""What PowerShell completes, `-C '.\my dir\' status`, arrives as one word: `\"` is a quote in it on Windows."""
    if folder and '"' in folder and platform == "win32":
        name = folder.partition('"')[0]
        raise UsageError(
            _("-C: a \\ before the closing quote makes what follows a part of the name"),
            _('leave it out: -C "{folder}"', folder=name),
        )
    return folder


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "project",
    metavar="DIR",
    callback=_check_folder,
    help="The project folder; else it is searched upwards from here.",
)
@click.version_option(__version__, prog_name="mika")
@click.pass_context
def cli(ctx: click.Context, project: str | None) -> None:
    """Bring up a Temporal-backed stack with one command, keep it up, and see why when a message hangs."""
    language()  # a wrong MIKA_LANG is said before anything is done
    if project is None:
        ctx.obj = Context(find_project(_here()))
        use_folder(None)
        return
    ctx.obj = Context(Path(project).absolute())
    use_folder(None if _finds(ctx.obj.project) else ctx.obj.project)


def _finds(folder: Path) -> bool:
    """Whether a command in the current folder would use this one."""
    with contextlib.suppress(OSError, UsageError):
        return find_project(_here()).samefile(folder)
    return False


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError(_("the current folder was deleted"), _("change to another one, or give -C DIR")) from None


_MOMENT = 0.01  # s
_IN_USE = (32, 33)  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_NO_ARGUMENTS: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Raised by `mika` alone. Before click 8.2, click itself showed the help then."""


def main() -> NoReturn:
    """Entry point of the `mika` script."""
    sys.unraisablehook = _interrupt_again
    harden_streams()
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # one more, while the first one was dealt with
        code = INTERRUPTED
    _leave(code)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Ctrl-C where Python can raise nothing, such as at the end of an import, comes again a moment later.

    Else it would be a traceback on the terminal ("Exception ignored in …"), and the program would go on.
    """
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
        return
    import _thread

    def later() -> None:
        time.sleep(_MOMENT)
        if sys.platform == "win32":  # not `_thread.interrupt_main`, which ends no `time.sleep`
            signal.raise_signal(signal.SIGINT)
        else:  # a real signal ends a system call, too
            os.kill(os.getpid(), signal.SIGINT)

    _thread.start_new_thread(later, ())


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code. Never raises for what a user can cause, and never shows a traceback.

    With MIKA_TRACEBACK in the environment an unexpected error is raised as it is.
    """
    as_json = "--json" in argv
    try:
        if instruction := os.environ.get("_MIKA_COMPLETE"):
            from mika.cli import completion

            return completion.answer(cli, instruction)
        # Not cli.main(): that turns a reader that has left (`mika logs | head`) into exit code 1.
        with cli.make_context("mika", list(argv), color=wanted_color()) as context:
            cli.invoke(context)
    except _NO_ARGUMENTS as help_:
        echo(help_.format_message())
        return OK
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else OK if exit_.code is None else FAILED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # `mika logs | head`: the reader has what it wants. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C in an import; before 3.12, Python may wrap it
            return INTERRUPTED
        told = _as_mika_error(error, argv)
        if told.code == "internal" and "MIKA_TRACEBACK" in os.environ:
            raise
        with contextlib.suppress(OSError):  # the very output may be what cannot be written
            show_error(told, as_json=as_json)
        return told.exit_code
    return OK


def _as_mika_error(error: Exception, argv: Sequence[str]) -> MikaError:
    """What the user sees of `error`: its own words, or that it is a fault of ours."""
    match error:
        case MikaError():
            return error
        case click.ClickException():
            from mika.cli.misuse import explain

            return explain(error, _asked_for(argv), argv)
        case PermissionError():
            return UsageError(f"{error.filename}: {error.strerror}", _how_to_get_permission(error))
        case UnicodeError():
            return UsageError(_("an argument or the folder's name is not valid text"), _("use names in UTF-8"))
        case OSError():  # a full disk, an output that cannot be written, a file that is a folder
            return MikaError(_("{file}: {error}", file=error.filename or _("output"), error=error.strerror or error))
    return MikaError(
        _("unexpected {type}: {error}", type=type(error).__name__, error=error),
        _("this is a fault of mika: run it again with MIKA_TRACEBACK=1 and report what it prints"),
        code="internal",
    )


def _how_to_get_permission(error: PermissionError, platform: str = sys.platform) -> str:
    if getattr(error, "winerror", 0) in _IN_USE:
        return _("another program has it open (a database viewer, an editor?): close that")
    return _("is it another user's? `{command}` tells", command=rights_command(error.filename or ".", platform))


def _leave(code: int) -> NoReturn:
    """End the process, without the interpreter's own end where that is not safe."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if "temporalio.bridge" in sys.modules:
        # One of the SDK's Rust threads may be handing over a result just now: the interpreter's end then waits for it
        # forever, or aborts ("PyGILState_Release: thread state must be current when releasing").
        os._exit(code)
    sys.exit(code)


def _asked_for(argv: Sequence[str]) -> click.Command:
    """The command of these arguments; the group itself if there is none."""
    verb = next((word for word in argv if word in _VERBS), None)
    return (cli.get_command(click.Context(cli), verb) if verb else None) or cli
