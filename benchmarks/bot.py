"""The bot's stack of some checkout, with its own `mika`, for benchmarks that compare two of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import common
from benchmarks.common import Place

_START = 60.0
_OK = 200
PARTS = ("api", "worker", "temporal")


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. `tree`: the checkout that all of it is from."""

    name: str
    tree: Path
    place: Place

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.place.env['API_PORT']}"

    @property
    def temporal(self) -> str:
        return f"127.0.0.1:{self.place.env['TEMPORAL_PORT']}"

    def pids(self, part: str) -> list[int]:
        return common.mika_parts(self.place.mark).get(part, [])

    def cpu(self) -> dict[str, float]:
        """Seconds on a CPU so far, by part."""
        parts = common.mika_parts(self.place.mark)
        return {part: common.cpu_seconds(parts.get(part, [])) for part in PARTS}

    def rss(self) -> dict[str, float]:
        """Megabytes, by part."""
        parts = common.mika_parts(self.place.mark)
        return {part: common.memory(parts.get(part, [])).rss for part in PARTS}

    def database(self) -> float:
        """Megabytes of the server's database, with its journal."""
        return sum(file.stat().st_size for file in self.place.folder.glob(".mika/data/temporal.db*")) / 1e6

    def post(self, http: httpx.Client) -> bool:
        """Whether a message is answered now."""
        with contextlib.suppress(httpx.HTTPError):
            body = {"user_id": "benchmark", "message": "hello"}
            return http.post(f"{self.api}/webhook/langbot", json=body, timeout=20).status_code == _OK
        return False


@contextlib.contextmanager
def running(name: str, tree: Path, extra: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Bring up the bot of this checkout, by the mika of this checkout, in a folder of its own. Raises Failed."""
    temporal, ui, api = map(str, common.free_ports(3))
    python = Path(sys.executable).parent
    env = {
        "TEMPORAL_PORT": temporal,
        "TEMPORAL_UI_PORT": ui,
        "API_PORT": api,
        "MIKA_BACKEND": "embedded",
        "PYTHONPATH": str(tree / "launcher"),  # before the checkout that this environment has installed
        "PATH": os.pathsep.join([str(python), os.environ["PATH"]]),
        **(extra or {}),
    }
    with common.place(env) as place, httpx.Client(trust_env=False) as http:
        shutil.copy(tree / "Procfile", place.folder)
        shutil.copytree(tree / "src", place.folder / "src")
        for folder in ("prompts",):
            if (tree / folder).is_dir():
                shutil.copytree(tree / folder, place.folder / folder)
        stack = Stack(name, tree, place)
        with (place.folder / "up.out").open("wb") as output:
            process = place.run([sys.executable, "-m", "mika", "up"], output)
        try:
            common.wait_for(f"answer of {name}", lambda: stack.post(http), _START, step=0.1)
            yield stack
        finally:
            common.stop(process)
