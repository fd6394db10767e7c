"""LangBot from the package index, each version in an environment of its own, kept in the cache.

`python -m tests.kit.langbot.environments --install` makes those that the tests need: 5 s and 60 MB a version. The whole
program (`python -m tests.langbot`) needs 400 packages more, 30 s and 1 GB a version.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.kit.gomodule import cache_dir
from tests.kit.machine import only_if_required, require_or_skip

VERSIONS = ("4.7.2", "4.10.11", "4.11.2")
PLUGIN = {"4.7.2": "0.2.4", "4.10.11": "0.5.8", "4.11.2": "0.7.16"}
"""The `langbot-plugin` that each version asks for: it has the message model."""
NEEDED = ("aiocqhttp", "aiofiles", "aiohttp", "httpx", "pillow", "pydantic", "pyjwt", "pyyaml", "websockets")
"""What the classes import that talk to a webhook, to an n8n workflow and to OneBot."""
_TIMEOUT = 900.0  # s, for one uv command


class InstallError(Exception):
    """An environment could not be made."""


def python_with_langbot(version: str) -> str:
    """The interpreter of an environment with LangBot's chat classes. Skips unless it is required, and can be made."""
    only_if_required("langbot")
    try:
        return str(environment(version))
    except InstallError as error:
        require_or_skip("langbot", str(error))


def environment(version: str, *, whole: bool = False) -> Path:
    """The interpreter of an environment with LangBot `version`, made by uv and kept. Raises `InstallError`.

    Not `whole`: only what the classes of the chat side import, so LangBot itself cannot start there.
    """
    minor = f"py{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_dir() / f"langbot-{version}{'-whole' if whole else ''}-{minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=_TIMEOUT):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            install = ("pip", "install", "--quiet", "--python", str(python))
            if whole:
                _uv(*install, f"langbot=={version}")
            else:
                _uv(*install, "--no-deps", f"langbot=={version}", f"langbot-plugin=={PLUGIN[version]}")
                _uv(*install, *NEEDED)
            (folder / "complete").touch()
    return python


def _uv(*arguments: str) -> None:
    try:
        done = subprocess.run(["uv", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"uv: {error}") from error
    if done.returncode:
        raise InstallError(f"uv {' '.join(arguments)}: {done.stderr.strip()[-300:]}")


def main() -> int:
    """Make the environments; print where each is, or the reason on standard error and exit 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", required=True, help="make the environments")
    parser.add_argument("--whole", action="store_true", help="with everything that LangBot itself needs to start")
    arguments = parser.parse_args()
    try:
        for version in VERSIONS:
            print(f"langbot {version}: {environment(version, whole=arguments.whole)}")
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
