"""What the Docker engine and compose say of a project that nobody supervises. Everything here blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mika.containers import DEPENDS_ON_LABEL, FOLDER_LABEL, ONE_OFF_LABEL, SERVICE_LABEL, compose, engine
from mika.containers.engine import EngineError
from mika.containers.one_shot import COMPLETED, is_one_shot
from mika.errors import MikaError, UsageError


@dataclass(frozen=True, slots=True)
class Container:
    """`status` is what `docker ps` shows."""

    service: str
    name: str
    state: str
    status: str
    one_shot: bool = False

    @property
    def is_ok(self) -> bool:
        if self.state == "exited":
            return self.one_shot and self.status.startswith("Exited (0)")
        return self.state == "running" and "unhealthy" not in self.status


def containers(env: Mapping[str, str], project: Path) -> list[Container]:
    """Those of the folder's compose file, by service. Raises EngineError."""
    with contextlib.closing(engine.connect(env, engine.QUICK)) as client:
        try:
            listed = client.api.containers(all=True, filters={"label": FOLDER_LABEL})
            ours = [
                entry
                for entry in listed
                if Path(entry["Labels"][FOLDER_LABEL]) == project and entry["Labels"].get(ONE_OFF_LABEL) != "True"
            ]
            finished = {name for entry in ours for name in _completed(entry["Labels"].get(DEPENDS_ON_LABEL, ""))}
            return sorted((_container(client, entry, finished) for entry in ours), key=lambda one: one.service)
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            text = " ".join(str(error).split())[:150]
            raise EngineError(
                f"the Docker engine does not answer: {text}", "restart Docker", code="engine_hung"
            ) from None


def _completed(needs: str) -> list[str]:
    """Services whose end is waited for, out of `a:service_completed_successfully:false,b:service_started:false`."""
    parts = [part.split(":") for part in needs.split(",")]
    return [part[0] for part in parts if part[1:2] == [COMPLETED]]


def _container(client: Any, entry: dict[str, Any], finished: set[str]) -> Container:
    service, state = entry["Labels"].get(SERVICE_LABEL, "?"), entry["State"]
    one_shot = service in finished
    if state == "exited" and not one_shot:  # the rest of the rule needs more than the list shows
        host = client.api.inspect_container(entry["Id"]).get("HostConfig") or {}
        policy = (host.get("RestartPolicy") or {}).get("Name") or "no"
        one_shot = is_one_shot(is_awaited=False, restart=policy, has_ports=bool(host.get("PortBindings")))
    return Container(service, entry["Names"][0].lstrip("/"), state, entry["Status"], one_shot)


def compose_error(env: Mapping[str, str], project: Path) -> tuple[str, str] | None:
    """What compose has against the project's file, and what to do; None when it is content, or cannot be asked."""
    if compose.file_of(project, env) is None:
        return f"there is no compose file in {project}", "write a docker-compose.yml there, or `--backend embedded`"
    try:
        compose.Compose(compose.find(env, engine.QUICK), project, env).config(engine.QUICK)
    except UsageError as error:
        return error.message, "mend it, then `mika up`"
    except MikaError as error:
        return None if error.code == "compose_unusable" else (error.message, error.hint or "")
    return None
