"""What a test asks of the machine: its platform, what it may lack, a free port, and patience."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import filelock
import httpx
import psutil
import pytest
from mika.errors import MikaError
from mika.machine import ports

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0  # s; what a test waits for comes in a fraction of it, also on a busy machine
POSIX = os.name != "nt"
T = TypeVar("T")


# --- what a machine may lack ------------------------------------------------------------------------------------------


def _is_required(name: str) -> bool:
    return name in os.environ.get("MIKA_REQUIRE", "").replace(",", " ").split()


def only_if_required(name: str) -> None:
    """Skip unless MIKA_REQUIRE (a comma list) has `name`: for what takes minutes, or is downloaded or built first."""
    if not _is_required(name):
        pytest.skip(f"runs with MIKA_REQUIRE={name}")


posix_only = pytest.mark.skipif(not POSIX, reason="POSIX signals and modes; tests/windows has its own")
takes_long = pytest.mark.skipif(not _is_required("long"), reason="runs with MIKA_REQUIRE=long")
"""Many cases of one kind, many rounds or long waits: what the other tests promise, for longer or for more of it."""


def require_or_skip(name: str, reason: str) -> NoReturn:
    """Skip because this machine lacks `name`; fail where MIKA_REQUIRE (a comma list) says that it must be there."""
    if _is_required(name):
        pytest.fail(f"MIKA_REQUIRE has {name}, but: {reason}", pytrace=False)
    pytest.skip(reason)


# --- waiting ----------------------------------------------------------------------------------------------------------


def poll_until(look: Callable[[], T], timeout: float, what: str, step: float = 0.05) -> T:
    """The first true value of `look`, which may raise what a stack in motion raises. Fails after `timeout` s.

    It looks every `step` s, and more rarely after a while: a look costs CPU that what is waited for needs.
    """
    began = time.monotonic()
    deadline = began + timeout
    while True:
        last: object
        try:
            last = look()
            if last:
                return last
        except (OSError, MikaError, httpx.HTTPError, psutil.Error) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {last!r}")
        time.sleep(max(step, min(0.25, 0.05 * (time.monotonic() - began))))


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """What happens within may not take this process more of the processor: a busy machine does not change that."""
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < seconds, f"it took {took:.1f} s of the processor, and not less than {seconds:g} s"


@contextlib.contextmanager
def telling(note: Callable[[], object]) -> Iterator[None]:
    """An assertion that fails within tells this, too."""
    try:
        yield
    except AssertionError as error:
        error.add_note(str(note()))
        raise


# --- ports ------------------------------------------------------------------------------------------------------------


class FreePort:
    """A port that is free and that no other test takes, in this process or another, until `release`.

    It is below the range from which the OS gives ports to clients and to "any port" servers, so none of those gets it.
    """

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"mika-test-ports-{getpass.getuser()}"
        folder.mkdir(exist_ok=True)
        for _ in range(1000):
            self.number = random.randrange(15000, 30000)
            self._lock = filelock.FileLock(folder / str(self.number), thread_local=False)
            with contextlib.suppress(filelock.Timeout):
                self._lock.acquire(blocking=False)
                if ports.is_free("127.0.0.1", self.number):
                    return
                self._lock.release()
        raise AssertionError("no free port")

    def release(self) -> None:
        self._lock.release()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    port = FreePort()
    try:
        yield port.number
    finally:
        port.release()
