"""Times for which Windows has no local time: those before 1970-01-02, which a file of zeros has after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.cli.logs import _moment
from mika.cli.main import run
from mika.guard.segments import SegmentWriter


@pytest.mark.parametrize("given", ["1970-01-01", "1969-12-31T23:00", "3500-01-01"])
def test_any_date_is_a_time(given: str) -> None:
    moment = _moment("--since", given)
    assert moment is not None
    assert abs(moment) < 200_000 or moment > 40_000_000_000


def test_an_index_of_zeros(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / ".mika" / "logs"
    logs.mkdir(parents=True)
    writer = SegmentWriter(str(logs), "web", 1 << 20)
    writer.write(b"up\n")
    writer.close()
    index = next(logs.glob("*.idx"))
    index.write_bytes(bytes(index.stat().st_size))
    assert run(["-C", str(tmp_path), "logs", "web", "--timestamps"]) == 0
    assert capsys.readouterr().out.endswith("up\n")
