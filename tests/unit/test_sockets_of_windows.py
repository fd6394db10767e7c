"""The table of sockets of Windows: whoever wants it does not wait until a slow system has told it."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType

import pytest

from tests.kit.machine import poll_until

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="the table of Windows")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from mika.machine import _windows

    monkeypatch.setattr(_windows, "_recent", _windows._Recent())
    return _windows


def test_a_slow_table_is_told_when_it_is_there(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked = threading.Event(), []

    def slow() -> list[tuple[str, int, int | None]]:
        asked.append(True)
        assert answered.wait(30)
        return [("127.0.0.1", 8000, 1), ("127.0.0.1", 9000, 2)]

    monkeypatch.setattr(windows, "listening", slow)
    began = time.monotonic()
    assert windows.listening_of([1]) == []
    assert windows.listening_of([2]) == []
    assert time.monotonic() - began < 5
    answered.set()
    poll_until(lambda: windows.listening_of([1]) == [("127.0.0.1", 8000, 1)], 10, "the table")
    assert windows.listening_of([2]) == [("127.0.0.1", 9000, 2)]
    assert len(asked) == 1, "one question for all, and none again at once"


def test_a_system_that_does_not_tell_is_asked_again(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([OSError("no"), [("::", 8000, 1)]])

    def listening() -> list[tuple[str, int, int | None]]:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(windows, "listening", listening)
    monkeypatch.setattr(windows, "_RECENT", 0.01)
    assert windows.listening_of([1]) == []
    poll_until(lambda: windows.listening_of([1]) == [("::", 8000, 1)], 10, "the table")
