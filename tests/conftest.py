"""The fixtures of all tests. What they are made of is in `tests/kit`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Each test starts processes. Where the environment forbids bytecode, as in many containers, each of them would compile
# whatever it imports: that doubles the time of a run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Temporal's server and Docker's programs are written in Go. Beside the other tests, one core and a rarer clean-up of
# memory are a quarter cheaper.
os.environ.setdefault("GOMAXPROCS", "1")
os.environ.setdefault("GOGC", "400")

os.environ["MIKA_LANG"] = "en"  # whoever runs the tests: they read what mika says
os.environ.pop("VIRTUAL_ENV", None)  # that of `uv run`: the projects of the tests have none, or one of their own

pytest.register_assert_rewrite("tests.kit")
pytest_plugins = ["tests.kit.reaper", "tests.kit.workers"]

import hypothesis  # noqa: E402 - after what must come before any import that may have to be compiled
from mika.errors import NotRunningError  # noqa: E402

from tests.kit.bot import Bot  # noqa: E402
from tests.kit.project import Project  # noqa: E402

hypothesis.settings.register_profile("mika", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("mika")

# A CI runner may start this in the background of a shell, with SIGINT ignored, and every child would inherit that: the
# tests that press Ctrl-C would then wait for ever. A handler, and not SIG_DFL: pytest itself is to hear it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # the same for `nohup`: mika leaves a SIGHUP ignored that was ignored at its start
    signal.signal(signal.SIGHUP, lambda *_: None)  # a handler, so the programs that a test starts have the default


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """The name of the running test goes into its environment, and Windows has room for 32,767 characters."""
    del config
    return f"{argname}-of-{len(val)}" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.fixture
def project(tmp_path: Any) -> Iterator[Callable[..., Project]]:
    """Makes projects: `project(scripts={"web": "..."})`. Each is stopped, and checked for left-overs, at the end."""
    with contextlib.ExitStack() as stack:

        def make(procfile: str | bytes | None = None, **options: Any) -> Project:
            return stack.enter_context(Project(tmp_path, procfile, **options))

        yield make


@pytest.fixture(scope="session")
def _shared_bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with Bot(tmp_path_factory.mktemp("bot")) as bot:
        yield bot


@pytest.fixture
def bot(_shared_bot: Bot) -> Bot:
    """The real stack, up and ready. It is shared: a test may break it and need not mend it."""
    try:
        found = _shared_bot.status()
    except NotRunningError:
        _shared_bot.up()
        return _shared_bot
    down = [process["name"] for process in found["processes"] if process["state"] in ("stopped", "exited", "gave_up")]
    if down:
        _shared_bot.ok("start", *down)
    _shared_bot.wait_ready()
    return _shared_bot


@pytest.fixture
def own_bot(tmp_path: Any) -> Iterator[Callable[..., Bot]]:
    """Makes stacks of one test alone: `own_bot(env={...})`."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Bot(tmp_path, **options))
