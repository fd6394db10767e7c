"""How the tests are shared out to the workers of pytest-xdist.

Tests that use the same fixture `_shared...` (a stack, a Windows) form a group, which one worker runs. A test that is
marked `alone` asserts a time, or could not run beside others for another reason: the workers leave it out, and when
they are done a second session runs those tests, one after the other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

_LEFT_OUT = pytest.StashKey[list[str]]()
_SHARED = "_shared"
_COMPLETE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def pytest_configure(config: pytest.Config) -> None:
    if not _is_worker(config):
        config.pluginmanager.register(_Controller())


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    for item in items:
        if "windows" in item.path.parent.parts:  # several Wines at once are too much for two cores
            item.add_marker(pytest.mark.xdist_group("wine"))
            continue
        for name in item.fixturenames:
            if name.startswith(_SHARED):
                item.add_marker(pytest.mark.xdist_group(name))
    yield  # xdist reads the groups, and -k and -m deselect
    if _is_worker(config):
        left_out = _keep(config, items, alone=False)
        config.workeroutput["left_out"] = sorted({str(item.path) for item in left_out})


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    if config.getoption(
        "lf", default=False
    ):  # those few one after the other; and it would not find them by the names that xdist makes
        config.option.numprocesses = 0
    code = yield
    files = config.stash.get(_LEFT_OUT, [])
    if not files or code not in _COMPLETE:
        return code
    alone = pytest.main([*config.invocation_params.args, "-n", "0"], plugins=[_OnlyAlone(files)])
    return alone if code == pytest.ExitCode.NO_TESTS_COLLECTED else max(code, alone)


class _Controller:
    """In the process that hands the tests out."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take off the group, which xdist appends to the name: `--last-failed -n 0` must find the test."""
        if report.nodeid.rfind("@") > report.nodeid.rfind("]"):
            report.nodeid = report.nodeid.rpartition("@")[0]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        # Each worker has collected the same tests.
        node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


class _OnlyAlone:
    """In the second session, which collects only the files that it needs: all of them would take 5 s."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = {Path(file) for file in files}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """None: whatever other plugins say."""
        return True if collection_path.is_file() and collection_path not in self._files else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        _keep(config, items, alone=True)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _keep(config: pytest.Config, items: list[pytest.Item], *, alone: bool) -> list[pytest.Item]:
    """Deselect the tests that are to run alone, or all others; returns those."""
    others = [item for item in items if (item.get_closest_marker("alone") is not None) != alone]
    items[:] = [item for item in items if item not in set(others)]
    config.hook.pytest_deselected(items=others)
    return others
