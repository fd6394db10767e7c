"""Windows for the tests of this folder: one for all of them, since starting it costs a second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

if os.name == "nt":
    collect_ignore_glob = ["test_windows_*.py"]  # they drive Wine from Linux
else:
    from mika.machine import ports

    from tests.kit.machine import free_port, only_if_required, poll_until, require_or_skip
    from tests.kit.windows.agent import Agent
    from tests.kit.windows.project import WinProject
    from tests.kit.windows.python import WinPython

    @pytest.fixture(scope="session")
    def windows() -> Iterator[WinPython]:
        only_if_required("wine")
        found = WinPython()
        missing = found.available()
        if missing:
            require_or_skip("wine", missing)
        with found:
            yield found

    @pytest.fixture(scope="session")
    def agent(windows: WinPython) -> Iterator[Agent]:
        found = Agent(windows)
        try:
            yield found
        finally:
            found.close()

    @pytest.fixture(scope="session")
    def temporal_port(windows: WinPython) -> Iterator[int]:
        """A Temporal server on Linux: what `--backend external` on Windows is for."""
        del windows  # no server where there is no Windows
        server = Path(sys.executable).with_name("temporal")
        with free_port() as port:
            command = [server, "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                poll_until(lambda: not ports.is_free("127.0.0.1", port), 60, "a Temporal server")
                yield port
            finally:
                process.terminate()
                process.wait(30)

    @pytest.fixture
    def project(windows: WinPython, agent: Agent, tmp_path: Path) -> Iterator[Callable[..., WinProject]]:
        """Makes projects of Windows: `project(scripts={"web": "..."})`."""
        with ExitStack() as stack:

            def make(procfile: str | bytes | None = None, **options: Any) -> WinProject:
                return stack.enter_context(WinProject(tmp_path, procfile, windows=windows, agent=agent, **options))

            yield make
