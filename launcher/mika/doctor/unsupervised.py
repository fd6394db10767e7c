"""What the Docker engine and compose say of a project while no supervisor runs. Everything here blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mika.config import compose_file
from mika.containers import DEPENDS_ON_LABEL, FOLDER_LABEL, ONE_OFF_LABEL, SERVICE_LABEL, compose, engine
from mika.containers.engine import EngineError
from mika.containers.one_shot import COMPLETED, is_one_shot
from mika.detect.compose_text import refuse_bombs
from mika.errors import MikaError, UsageError, describe
from mika.frozen import frozen
from mika.reason import Reason
from mika.wording import _


@frozen
class Container:
    """`state` and `health` are the engine's words; `health` is empty without a health check."""

    service: str
    name: str
    state: str
    exit_code: int = 0
    health: str = ""
    one_shot: bool = False

    @property
    def is_ok(self) -> bool:
        if self.state == "exited":
            return self.one_shot and self.exit_code == 0
        return self.state == "running" and self.health != "unhealthy"

    def describe(self) -> str:
        """What is wrong, as a sentence about `its container`."""
        if self.state == "exited":
            return _("its container has exited with code {code}", code=self.exit_code)
        if self.state == "running":
            return _("its container is unhealthy")
        return _("its container is {state}", state=self.state)


def containers(env: Mapping[str, str], project: Path) -> list[Container]:
    """Those of the folder's compose file, by service. Raises EngineError."""
    from docker.errors import NotFound

    folder = compose.Compose((), project, env).folder
    with contextlib.closing(engine.connect(env, engine.QUICK)) as client:
        try:
            entries = client.api.containers(all=True, filters={"label": FOLDER_LABEL})
            ours = [
                entry
                for entry in entries
                if Path(entry["Labels"][FOLDER_LABEL]) == folder and entry["Labels"].get(ONE_OFF_LABEL) != "True"
            ]
            inspected = []
            for entry in ours:
                with contextlib.suppress(NotFound):  # it was removed meanwhile
                    inspected.append((entry["Labels"], client.api.inspect_container(entry["Id"])))
            awaited = {name for entry in ours for name in _completed(entry["Labels"].get(DEPENDS_ON_LABEL, ""))}
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            raise EngineError(
                _("the Docker engine does not answer: {error}", error=describe(error)),
                _("restart Docker"),
                code="engine_hung",
            ) from None
    return sorted((_container(*entry, awaited) for entry in inspected), key=lambda container: container.service)


def _completed(needs: str) -> list[str]:
    """Services whose exit is waited for, out of `a:service_completed_successfully:false,b:service_started:false`."""
    parts = [part.split(":") for part in needs.split(",")]
    return [part[0] for part in parts if part[1:2] == [COMPLETED]]


def _container(labels: Mapping[str, str], inspected: Mapping[str, Any], awaited: set[str]) -> Container:
    service, state, host = labels.get(SERVICE_LABEL, "?"), inspected["State"], inspected.get("HostConfig") or {}
    policy = (host.get("RestartPolicy") or {}).get("Name") or "no"
    return Container(
        service,
        inspected["Name"].lstrip("/"),
        state["Status"],
        state.get("ExitCode", 0),
        (state.get("Health") or {}).get("Status", ""),
        is_one_shot(is_awaited=service in awaited, restart=policy, has_ports=bool(host.get("PortBindings"))),
    )


def compose_error(env: Mapping[str, str], project: Path) -> Reason | None:
    """What compose finds wrong with the project's file; None if nothing, or if compose cannot be asked."""
    env = compose_file.environment(project, env)
    if compose_file.file_of(project, env) is None:
        fix = _("write a docker-compose.yml there, or use `--backend embedded`")
        return Reason(_("there is no compose file in {folder}", folder=project), fix)
    try:
        refuse_bombs(project, env)
        compose.Compose(compose.find(env, engine.QUICK), project, env).config(engine.QUICK)
    except UsageError as error:
        return Reason(error.message, _("fix it, then `mika up`"))
    except MikaError as error:
        return None if error.code == "compose_unusable" else Reason(error.message, error.hint)
    return None
