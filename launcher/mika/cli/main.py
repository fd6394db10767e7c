"""The `mika` command: global options, the verbs, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while this still imports: there is nothing to clean up, and nobody wants to see a traceback of ours.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import click

from mika import __version__
from mika.cli.context import Context, harden_streams, show_error
from mika.errors import FAILED, INTERRUPTED, OK, MikaError, UsageError
from mika.text import did_you_mean

_VERBS = {
    "up": "Bring the stack up and keep it up.",
    "down": "Stop processes, then services.",
    "status": "Services, processes, addresses.",
    "wait": "Return when the stack is ready.",
    "logs": "Output of processes and services.",
    "restart": "Restart processes of a running stack.",
    "stop": "Stop processes of a running stack.",
    "start": "Start processes of a running stack.",
    "send": "Send one message through the real API.",
    "doctor": "Find out what is wrong, and how to mend it.",
    "workflows": "The latest messages' workflows, and their causes.",
    "config": "Every setting, and where it came from.",
}
_MODULES = {"restart": "process", "stop": "process", "start": "process", "config": "config_", "wait": "wait_"}


class Verbs(click.Group):
    """Loads a verb's module only when it is used, so that each command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"mika.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            ctx.fail(f"there is no command '{args[0]}'{did_you_mean(args[0], list(_VERBS))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "project", default=".", metavar="DIR", help="The project folder (where the Procfile is).")
@click.version_option(__version__, prog_name="mika")
@click.pass_context
def cli(ctx: click.Context, project: str) -> None:
    """Bring up a Temporal-backed bot stack with one command, keep it up, and see why when a message hangs."""
    ctx.obj = Context(Path(project).absolute())


def main() -> None:
    """Entry point of the `mika` script. Never shows a traceback for what a user can cause."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    harden_streams()
    as_json = "--json" in sys.argv[1:]
    if "NO_COLOR" in os.environ:
        cli.context_settings["color"] = False
    elif "FORCE_COLOR" in os.environ:
        cli.context_settings["color"] = True
    try:
        # Not cli.main(): that turns a reader that has left (`mika logs | head`) into exit code 1.
        with cli.make_context("mika", sys.argv[1:]) as context:
            cli.invoke(context)
        code = OK
    except click.exceptions.Exit as error:
        code = error.exit_code
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else OK if error.code is None else FAILED
    except MikaError as error:
        show_error(error, as_json=as_json)
        code = error.exit_code
    except click.ClickException as error:
        usage = MikaError(error.format_message(), _usage_hint(error), code="usage")
        show_error(usage, as_json=as_json)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # `mika logs | head`: the reader has what it wants. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except PermissionError as error:
        what = UsageError(f"{error.filename}: {error.strerror}", "is it another user's? `ls -la` tells")
        show_error(what, as_json=as_json)
        code = what.exit_code
    except UnicodeError:
        what = UsageError("an argument or the folder's name is not valid text", "use names in UTF-8")
        show_error(what, as_json=as_json)
        code = what.exit_code
    except OSError as error:  # a full disk, an output that cannot be written, a file that is a folder
        with contextlib.suppress(OSError):
            show_error(MikaError(f"{error.filename or 'output'}: {error.strerror or error}"), as_json=as_json)
        code = FAILED
    except Exception as error:
        if "MIKA_TRACEBACK" in os.environ:
            raise
        show_error(
            MikaError(
                f"unexpected {type(error).__name__}: {error}",
                "this is a fault of mika: run it again with MIKA_TRACEBACK=1 and report what it prints",
                code="internal",
            ),
            as_json=as_json,
        )
        code = FAILED
    _leave(code)


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


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else "see `mika --help`"
