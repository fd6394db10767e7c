"""Topics of `mika help`: a screen at most, for the terminal. The whole is in docs/."""

from __future__ import annotations

from mika.errors import FAILED, INTERRUPTED, NOT_RUNNING, OK, USAGE
from mika.wording import _

TOPICS: dict[str, tuple[str, str]] = {
    "procfile": (
        _("which processes there are"),
        _("""\
A file named Procfile in the project's folder has one line for each process: a name and its command.

    web:     uvicorn app:app --port $PORT
    worker:  python -m shop.worker

`python` is that of the project's environment (.venv, Poetry, …). Each process has a PORT of its own. What is
more than a command is in mika.toml (or pyproject.toml, below tool.mika):

    [process.worker]
    ready = "worker:orders"         # it polls this task queue; or http://…, tcp:PORT, log:REGEX, exec:COMMAND
    needs = ["migrate:completed"]   # what it waits for

Without a Procfile, `mika up` looks in the source for what to run, and `mika init` writes it down.
`mika config` shows each option of each process."""),
    ),
    "config": (
        _("where settings come from"),
        _("""\
A setting is taken from the first of these that has it: an option of the command, the environment, .env, mika.toml,
pyproject.toml ([tool.mika]), the default. In mika.toml it has a short name: MIKA_BACKEND is `backend`.

`mika config` shows every setting, its value and where it came from; secrets are masked.
A running stack keeps the addresses that it was started with: `mika down`, then `mika up`, takes new ones."""),
    ),
    "backends": (
        _("who provides Temporal"),
        _("""\
embedded  mika runs Temporal's development server itself; its data is in .mika/data
docker    Temporal and databases of the compose file, in containers
external  a server that runs elsewhere: TEMPORAL_HOST and TEMPORAL_PORT, or TEMPORAL_ADDRESS
none      no Temporal
auto      the default: external if TEMPORAL_HOST is another machine; else the one that this folder used last;
          the first time none, docker or embedded, by what the project mentions and what is installed here

`mika up --backend NAME` chooses one."""),
    ),
    "exit-codes": (
        _("what a script can rely on"),
        _(
            """\
{ok:>3}  done
{failed:>3}  it failed: not ready in time, a process gave up, a check failed, the bot answered with an error
{usage:>3}  wrong usage or configuration
{not_running:>3}  no stack is running
{interrupted:>3}  interrupted (Ctrl-C), also when only detached

`mika up` exits with the code of the process that has `ends = true`, if that process failed.""",
            ok=OK,
            failed=FAILED,
            usage=USAGE,
            not_running=NOT_RUNNING,
            interrupted=INTERRUPTED,
        ),
    ),
}
"""By name: what it is about, and the text."""
