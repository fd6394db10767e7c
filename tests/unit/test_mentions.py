"""`auto` starts Temporal only where something says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.backends.mentions import mentions_temporal

from tests.kit.config import load


@pytest.mark.parametrize(
    ("files", "mentions"),
    [
        ({"Procfile": "web: x\nworker: y\n", "app.py": "import flask\n"}, False),
        ({"pyproject.toml": "[project]\nname='x'\nversion='1'\ndependencies = ['temporalio>=1']\n"}, True),
        ({"requirements-dev.txt": "temporalio==1.18\n"}, True),
        ({"go.mod": "require go.temporal.io/sdk v1.30.0\n"}, True),
        ({"package.json": '{"dependencies": {"@temporalio/worker": "1"}}'}, True),
        ({"src/deep/worker.py": "from temporalio.worker import Worker\n"}, True),
        ({".venv/pyvenv.cfg": "", ".venv/lib/x.py": "import temporalio\n"}, False),
        ({".env": "TEMPORAL_ADDRESS=localhost:7233\n"}, True),
        ({"mika.toml": "[process.jobs]\nready = 'worker:jobs'\n"}, True),
        ({"docker-compose.yml": "services:\n  t:\n    image: temporalio/auto-setup\n"}, True),
        ({"notes.py": "# temporalio is nice\n"}, False),
        ({"broken.py": "\x00\udcff"}, False),
    ],
)
def test_temporal_is_started_only_where_something_says_so(
    tmp_path: Path, files: dict[str, str], *, mentions: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    assert mentions_temporal(load(tmp_path, {})) is mentions
