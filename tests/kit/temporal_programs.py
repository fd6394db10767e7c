"""Temporal's server and its tools, built from their Go modules without what only clouds need: half of the work.

python -m tests.kit.temporal_programs FILE      write the `temporal` command for Windows to FILE
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tests.kit import gomodule

SERVER, SERVER_VERSION = "go.temporal.io/server", "v1.32.0"
# The last whose module is whole: later ones need a nested module that was never published.
CLI, CLI_VERSION = "github.com/temporalio/cli", "v1.5.1"

_WORKERS = "go.temporal.io/auto-scaled-workers"
_CLOUDS = ("aws", "gcp", "k8s")  # where a worker may be started; each file registers its own
_ARCHIVES = r"(gcloud|s3store)"


def server() -> Path:
    """The server of the compose file."""
    name = "temporal-server"
    return gomodule.build(SERVER, SERVER_VERSION, {name: "./cmd/server"}, edit=_without_clouds)[name]


def sql_tool() -> Path:
    """What sets up its database."""
    name = "temporal-sql-tool"
    return gomodule.build(SERVER, SERVER_VERSION, {name: "./cmd/tools/sql"}, edit=_without_clouds)[name]


def command_for_windows() -> Path:
    """`temporal.exe`, with its development server."""

    def edit(tree: Path) -> None:
        _without_archives(gomodule.own_copy(tree, SERVER))

    return gomodule.build(CLI, CLI_VERSION, {"temporal": "./cmd/temporal"}, edit=edit, system="windows")["temporal"]


def _without_clouds(tree: Path) -> None:
    _without_archives(tree)
    providers = gomodule.own_copy(tree, _WORKERS) / "wci" / "workflow" / "compute_provider"
    for file in providers.iterdir():
        if file.name.startswith(_CLOUDS):
            file.unlink()


def _without_archives(tree: Path) -> None:
    """Histories that have ended are kept in files, or nowhere."""
    file = tree / "common" / "archiver" / "provider" / "provider.go"
    text = file.read_text(encoding="utf-8")
    text = re.sub(rf'\t"go\.temporal\.io/server/common/archiver/{_ARCHIVES}"\n', "", text)
    text = re.sub(rf"\n\t+case {_ARCHIVES}\.URIScheme:.*?(?=\n\t+(case |default:))", "", text, flags=re.DOTALL)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    shutil.copy(command_for_windows(), sys.argv[1])
