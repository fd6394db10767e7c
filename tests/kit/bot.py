"""The repository's own bot, under mika."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.kit.machine import DEADLINE, ROOT, poll_until
from tests.kit.project import Project


class Bot(Project):
    """The repository's own stack in a folder of its own: embedded Temporal, API and worker."""

    def __init__(self, parent: Path, **options: Any) -> None:
        options.setdefault("procfile", (ROOT / "Procfile").read_bytes())
        options.setdefault("backend", "embedded")
        super().__init__(parent, **options)
        self.url = f"http://127.0.0.1:{self.ports['API_PORT']}"
        self.http = httpx.Client(base_url=self.url, timeout=90, trust_env=False)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.http.close()
        super().__exit__(kind, error, trace)

    def post(self, message: str = "hello", **body: Any) -> httpx.Response:
        return self.http.post("/webhook/langbot", json={"user_id": "1000112345", "message": message, **body})

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        return self.http.get(f"/workflows/{workflow_id}").json()

    def ended(self, workflow_id: str, timeout: float = DEADLINE) -> dict[str, Any]:
        """What `GET /workflows/ID` says once the workflow runs no more."""

        def look() -> dict[str, Any] | None:
            found = self.workflow(workflow_id)
            return found if found["status"] != "running" else None

        return poll_until(look, timeout, f"the end of {workflow_id}") or {}
