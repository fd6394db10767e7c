"""A real server that speaks MongoDB's protocol, for tests: `mongod` from PATH, else FerretDB on SQLite.

`python -m tests.kit.mongo_server --build` makes the program ready beforehand and prints where it is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pymongo
from pymongo.errors import PyMongoError

from tests.kit import gomodule
from tests.kit.machine import only_if_required, require_or_skip

if TYPE_CHECKING:
    from collections.abc import Iterator

FERRETDB = "github.com/FerretDB/FerretDB"
FERRETDB_VERSION = "v1.24.2"  # the last with SQLite: version 2 needs PostgreSQL with an extension
READY_TIMEOUT_S = 20.0


def ferretdb() -> Path:
    """The FerretDB program, built when it is not in the cache. Raises `gomodule.BuildError`."""

    # A release writes its version into this file; the module has it empty, and FerretDB panics on that.
    def write_version(tree: Path) -> None:
        (tree / "build/version/version.txt").write_text(f"{FERRETDB_VERSION}\n", encoding="utf-8")

    return gomodule.build(FERRETDB, FERRETDB_VERSION, {"ferretdb": "./cmd/ferretdb"}, edit=write_version)["ferretdb"]


def need_mongo() -> None:
    """Skip the test unless a server is required, and can be had."""
    only_if_required("mongo")
    try:
        server_program()
    except NoServerError as error:
        require_or_skip("mongo", str(error))


class NoServerError(Exception):
    """There is no server, and none can be built; the message says why in one line."""


def server_program() -> Path:
    """Built if need be, which takes 1 to 2 minutes once. Raises NoServerError."""
    if found := shutil.which("mongod"):
        return Path(found)
    try:
        return ferretdb()
    except (gomodule.BuildError, OSError) as error:
        raise NoServerError(f"there is no `mongod` on PATH, and FerretDB could not be built: {error}") from error


@contextlib.contextmanager
def mongo_server(user: str = "", password: str = "") -> Iterator[str]:
    """Run a server with empty data on a free loopback port; yields its mongodb:// URL once it answers a ping.

    With `user` it asks for a login, and has that one user. The URL is without it.
    """
    program = server_program()
    with tempfile.TemporaryDirectory(prefix="mika-mongo-", ignore_cleanup_errors=True) as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"mongodb://127.0.0.1:{port}/"
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [str(program), *_arguments(program, Path(folder), port, user)],
                env={**os.environ, "FERRETDB_SETUP_PASSWORD": password},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _wait_until_ready(server, url, log)
                if user and program.stem == "mongod":  # the first user may be made without a login, from this machine
                    with pymongo.MongoClient[dict[str, object]](url) as client:
                        client.admin.command("createUser", user, pwd=password, roles=["root"])
                yield url
            finally:
                _reap(server)


def _arguments(program: Path, folder: Path, port: int, user: str) -> list[str]:
    data = folder / "data"
    data.mkdir()
    if program.stem == "mongod":
        login = ["--auth"] if user else []
        return ["--dbpath", str(data), "--bind_ip", "127.0.0.1", "--port", str(port), *login]
    login = ["--test-enable-new-auth", "--setup-database=admin", f"--setup-username={user}"] if user else []
    return [
        *login,
        "--handler=sqlite",
        f"--sqlite-url=file:{data.as_posix()}/",
        f"--state-dir={data}",
        f"--listen-addr=127.0.0.1:{port}",
        "--telemetry=disable",
        "--debug-addr=-",  # its default port is that of Temporal's UI here
    ]


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=200, connectTimeoutMS=1000) as client:
        while True:
            try:
                client.admin.command("ping")
            except PyMongoError as error:
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                if server.poll() is not None:
                    msg = f"the MongoDB server for tests exited with {server.returncode}:\n{tail}"
                    raise RuntimeError(msg) from error
                if time.monotonic() > deadline:
                    msg = f"no answer to ping at {url} after {READY_TIMEOUT_S} s ({error}):\n{tail}"
                    raise RuntimeError(msg) from error
            else:
                return


def _reap(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(timeout=10)


def main() -> int:
    """Build on request; print the program's path, or the reason on standard error and exit 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", action="store_true", required=True, help="make the program ready and print its path")
    parser.parse_args()
    try:
        print(server_program())
    except NoServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
