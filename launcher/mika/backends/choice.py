"""`MIKA_BACKEND=auto`: what this folder used last; the first time, what is there already."""

from __future__ import annotations

from mika.backends.docker.services import ComposeFile, Service
from mika.config.load import Config
from mika.config.settings import BACKENDS
from mika.containers import compose, engine
from mika.errors import MikaError
from mika.project.folder import ProjectDir


def choose(config: Config, folder: ProjectDir) -> tuple[str, str]:
    """The backend's name, and one sentence for people where `auto` passed Docker over."""
    last = folder.last_backend()
    if last in BACKENDS:  # nobody's history may seem to vanish because another backend answers today
        usual = last in ("embedded", "docker")
        return last, "" if usual else f"backend {last}, as the last time in this folder (`--backend NAME` changes it)"
    obstacle = _obstacle(config)
    return ("embedded", obstacle) if obstacle is not None else ("docker", "")


def _obstacle(config: Config) -> str | None:
    """Why Docker is not taken, empty where nobody would expect it; None when all is there. Takes some 2 s at most."""
    env = config.child_env()
    if compose.file_of(config.project, env) is None:
        return ""
    if not engine.may_be_there(env):
        return "there is no Docker engine here: started embedded (`mika up --backend docker` once Docker runs)"
    try:
        client = engine.connect(env, engine.QUICK)
    except engine.EngineError as error:
        return f"{error.message}: started embedded (`mika up --backend docker` once it runs)"
    from mika.backends.docker.backend import read
    from mika.backends.docker.pull import missing_now

    try:
        _, file = read(config, engine.QUICK)
        missing = missing_now(client, file.services)
    except MikaError as error:
        return f"{error.message}: started embedded (`mika up --backend docker` says more)"
    finally:
        client.close()
    if missing:
        which = missing[0].image + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        remedy = f"`mika up --backend docker` pulls them{_size(missing, file)}"
        return f"Docker runs, but its images are not here ({which}): started embedded; {remedy}"
    return None


def _size(missing: list[Service], file: ComposeFile) -> str:
    """`, about 0.6 GB`; empty unless the compose file knows all of them. Asking the registries would take too long."""
    sizes = [file.downloads_mb.get(service.image) for service in missing]
    total = sum(mb or 0 for mb in sizes)
    if None in sizes:
        return ""
    return f", about {total / 1000:.1f} GB" if total >= 500 else f", about {total} MB"
