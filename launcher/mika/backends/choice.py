"""`MIKA_BACKEND=auto`: the backend that this folder used last.

The first time it is `none` where nothing says Temporal, and Docker if everything for it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.address import join
from mika.config.load import Config
from mika.config.settings import BACKENDS
from mika.errors import MikaError
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir
from mika.wording import _

if TYPE_CHECKING:
    from mika.backends.docker.services import ComposeFile, Service
    from mika.backends.infrastructure import Plan


def choose(config: Config, folder: ProjectDir, entries: Sequence[Entry]) -> tuple[str, str]:
    """The backend's name, and one sentence for the user if the choice of `auto` needs an explanation."""
    settled = _settled(config, folder)
    if settled is not None:
        return settled
    obstacle = _docker_obstacle(config, entries)
    return ("embedded", obstacle) if obstacle is not None else ("docker", "")


def planned(config: Config, folder: ProjectDir, entries: Sequence[Entry]) -> tuple[Plan, Plan | None]:
    """Which services are started, as far as the files tell; and which with Docker, if `auto` may choose that.

    Raises UsageError for a mistake in the settings.
    """
    from mika.backends import infrastructure
    from mika.backends.mentions import mentions_temporal

    backend, may_choose = config.text("MIKA_BACKEND"), False
    if backend == "auto":
        settled = _settled(config, folder)
        backend, may_choose = ("embedded", True) if settled is None else (settled[0], False)
    plan = infrastructure.plan(config, backend, entries)
    if backend == "docker" and not plan.has_temporal:
        return infrastructure.plan(config, "embedded" if mentions_temporal(config) else "none", entries), None
    return plan, infrastructure.plan(config, "docker", entries) if may_choose and plan.has_temporal else None


def _settled(config: Config, folder: ProjectDir) -> tuple[str, str] | None:
    """What `choose` returns, if that needs no look at the engine."""
    if config.is_elsewhere:
        place = join(config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT"))
        origin = config.settings["TEMPORAL_HOST"].origin
        return "external", _("Temporal is at {address} ({origin}): none is started here", address=place, origin=origin)
    last = folder.last_backend()
    if last in BACKENDS:  # with another backend, the history of conversations would seem to have vanished
        if last in ("embedded", "docker"):
            return last, ""
        return last, _("backend {name}, as last time in this folder (`--backend NAME` changes it)", name=last)
    from mika.backends.mentions import mentions_temporal

    if not mentions_temporal(config):
        return "none", _(
            "nothing in this project mentions Temporal, so none is started (`mika up --backend embedded` starts one)"
        )
    return None


def _docker_obstacle(config: Config, entries: Sequence[Entry]) -> str | None:
    """Why Docker is not used: None if everything is there, empty if nobody would expect it. Takes about 2 s at most."""
    from mika.backends import infrastructure

    plan = infrastructure.plan(config, "docker", entries)
    if not plan.has_temporal:
        return ""
    from mika.containers import engine

    env = config.child_env()
    if not engine.may_be_there(env):
        return _("there is no Docker engine here: started embedded (`mika up --backend docker` once Docker is running)")
    try:
        client = engine.connect(env, engine.QUICK)
    except engine.EngineError as error:
        return _("{reason}: started embedded (`mika up --backend docker` when Docker works)", reason=error.message)
    from mika.backends.beside import select
    from mika.backends.docker.pull import find_missing
    from mika.backends.docker.services import check_temporal

    try:
        file = select(config, "docker", plan, entries, engine.QUICK).file
        check_temporal(file, config)
        missing = find_missing(client, file.services)
    except MikaError as error:
        return _("{reason}: started embedded (`mika up --backend docker` says more)", reason=error.message)
    finally:
        client.close()
    if missing:
        image, more = missing[0].image, len(missing) - 1
        return _(
            "Docker is running, but its images are not here ({images}): started embedded; `mika up --backend docker`"
            " pulls them{size}",
            images=_("{image} and {count} more", image=image, count=more) if more else image,
            size=_download_size(missing, file),
        )
    return None


def _download_size(missing: list[Service], file: ComposeFile) -> str:
    """`, about 0.6 GB`; empty unless the compose file states all sizes. Asking the registries would take too long."""
    sizes = [file.downloads_mb.get(service.image) for service in missing]
    total = sum(mb or 0 for mb in sizes)
    if None in sizes:
        return ""
    if total >= 500:
        return _(", about {size:.1f} GB", size=total / 1000)
    return _(", about {size} MB", size=total)
